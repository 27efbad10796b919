/** Making a repository where one may not. */
import { expect, it } from 'vitest';
import { createRepository } from '../../../src/repo/create.ts';
import { listAll, MemoryStorage } from '../../../src/storage/index.ts';
import { makeClient, makeServer, userOf } from '../server/rig.ts';

it('tells whose access key only appends who can make a repository, and that backups need no more', async () => {
  const { access, account } = userOf('laptop');
  const storage = new MemoryStorage();
  const client = makeClient(makeServer({ storage, users: [account] }), { access });
  const key = { repo: '0'.repeat(32), keyid: '0'.repeat(32) };
  const error = await createRepository(client, key as never, 0).catch((e: unknown) => e);
  expect(error).toMatchObject({
    code: 'BP_STORAGE_DENIED',
    message: expect.stringMatching(/^a repository cannot be made at tcp:.*the role append may not create/),
    hint: expect.stringMatching(/role admin.*for backups this access key is enough/),
  });
  expect(await listAll(storage, '')).toEqual([]);
});
