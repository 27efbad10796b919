/** The network protocol against its vectors, and its pieces: each file whole, and in pieces of any size. */
import { createHash, createSecretKey } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { BackpackError } from '../../../src/base/errors.ts';
import { Xxh64, xxh64 } from '../../../src/codec/xxhash.ts';
import { formatAccessKey, parseAccessKey } from '../../../src/net/access-key.ts';
import { formatError, parseError } from '../../../src/net/error-message.ts';
import { FrameReader, sealFrame } from '../../../src/net/frame.ts';
import { parseClientHello, schedule } from '../../../src/net/handshake.ts';
import { readPem } from '../../../src/net/pem.ts';
import { parseRemoteLocation } from '../../../src/storage/remote/location.ts';
import { top, Vector } from '../../vectors/load.ts';
import { codeOf, runs } from '../support.ts';
import { framesIn } from './frames-in.ts';

const names = readdirSync(join(top, 'test-vectors/protocol')).map((file) => `protocol/${file.slice(0, -4)}`);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytesOf = (v: Vector, key: string): Buffer =>
  v.get(key) === 'none' ? Buffer.alloc(0) : Buffer.from(v.get(key), 'hex');

function decode(key: Buffer, pieces: Iterable<Buffer>): { code: string; shown: string } {
  const reader = new FrameReader(createSecretKey(key));
  const shown: string[] = [];
  const code = codeOf(() => {
    for (const piece of pieces) {
      reader.take(piece);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        const sum = createHash('sha256').update(frame.payload).digest('hex');
        shown.push(`${frame.type}/${frame.stream}/${frame.payload.length}/${sum}`);
      }
    }
  });
  return { code: code === 'ok' ? 'accept' : code, shown: shown.join(' ') || 'none' };
}

function* cut(bytes: Buffer, size: number): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('there are vectors', () => expect(names.length).toBeGreaterThanOrEqual(20));

test.each(names)('%s', (name) => {
  const v = new Vector(name);
  if (v.type === 'net-handshake') {
    const [client, server] = [v.payload.subarray(0, 128), v.payload.subarray(128)];
    expect(parseClientHello(client).user).toBe(v.get('in-user') === 'none' ? '' : v.get('in-user'));
    const user = v.get('in-user') === 'none' ? undefined : createSecretKey(bytesOf(v, 'in-key'));
    const out = schedule(user, client, server, bytesOf(v, 'in-binding'));
    expect(hex(out.clientProof)).toBe(v.get('out-client-proof'));
    expect(hex(out.serverProof)).toBe(v.get('out-server-proof'));
    expect(hex(out.clientFrames.export())).toBe(v.get('out-client-frames'));
    expect(hex(out.serverFrames.export())).toBe(v.get('out-server-frames'));
  } else if (v.type === 'net-hello') {
    expect(codeOf(() => parseClientHello(v.payload))).toBe(v.expect);
  } else {
    const wanted = { code: v.expect, shown: v.get('out-frames') };
    for (const size of [v.payload.length, 1, 13, 65_536]) {
      if (size === 1 && v.payload.length > 200_000) continue;
      expect(decode(bytesOf(v, 'in-key'), cut(v.payload, size))).toEqual(wanted);
    }
  }
});

describe('frames', () => {
  const key = createSecretKey(Buffer.alloc(32, 7));

  it('come out as they went in, however they are split on both sides', () => {
    const frame = fc.tuple(
      fc.constantFrom(1, 3, 7, 34),
      fc.nat(1000),
      fc.array(fc.uint8Array({ maxLength: 300 })),
    );
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 6 }), fc.integer({ min: 1, max: 100 }), (list, size) => {
        const sealed = list.flatMap(([type, stream, pieces], i) => sealFrame(key, i, type, stream, pieces));
        const found: unknown[] = [];
        const reader = new FrameReader(key);
        for (const piece of cut(Buffer.concat(sealed), size)) {
          for (const one of framesIn(reader, piece)) found.push([one.type, one.stream, hex(one.payload)]);
        }
        expect(found).toEqual(
          list.map(([type, stream, pieces]) => [type, stream, hex(Buffer.concat(pieces))]),
        );
        expect(reader.pendingBytes).toBe(0);
      }),
      runs(50),
    );
  });

  it('come out of the memory that they were read to, and stay as they are while they are in use', () => {
    const length = fc.oneof(fc.nat(300), fc.nat(100_000), fc.constant(262_144), fc.constant(1_048_576));
    // How much a read brings, whether the frame is still in use during the next read, and a rest in between.
    const step = fc.tuple(fc.integer({ min: 1, max: 700_000 }), fc.boolean(), fc.boolean());
    fc.assert(
      fc.property(
        fc.array(length, { minLength: 1, maxLength: 12 }),
        fc.array(step, { minLength: 1, maxLength: 20 }),
        (lengths, steps) => {
          const payloads = lengths.map((bytes, i) => Buffer.alloc(bytes, `${i}.`));
          const wire = Buffer.concat(payloads.flatMap((payload, i) => sealFrame(key, i, 3, 1, [payload])));
          const reader = new FrameReader(key);
          const frames: Buffer[] = [];
          let inUse: Buffer | undefined;
          let space = reader.space();
          for (let at = 0, i = 0; at < wire.length; i += 1) {
            const [most, keeps, rests] = steps[i % steps.length]!;
            const count = Math.min(most, space.length, wire.length - at);
            wire.copy(space, 0, at, at + count);
            at += count;
            // A read that was begun before a frame was done goes where it was told to.
            reader.take(space.subarray(0, count));
            if (inUse !== undefined) expect(inUse.equals(payloads[frames.length - 1]!)).toBe(true);
            inUse = undefined;
            for (let one = reader.next(); one !== undefined; one = reader.next()) {
              frames.push(Buffer.from(one.payload));
              if (!keeps) continue;
              inUse = one.payload;
              break;
            }
            if (rests) reader.rest();
            space = reader.space();
            expect(space.length).toBeGreaterThan(0);
            expect(reader.heldBytes).toBeLessThanOrEqual(2 * (1_048_576 + 65_536));
          }
          for (let one = reader.next(); one !== undefined; one = reader.next()) {
            frames.push(Buffer.from(one.payload));
          }
          expect(frames.map((frame, i) => frame.equals(payloads[i]!))).toEqual(payloads.map(() => true));
          expect(reader.pendingBytes).toBe(0);
          reader.rest();
          expect(reader.heldBytes).toBe(0);
        },
      ),
      runs(60),
    );
  });

  it('cost no memory for what was only announced', () => {
    const reader = new FrameReader(key);
    const sealed = Buffer.concat(sealFrame(key, 0, 3, 1, [Buffer.alloc(1_048_576)]));
    for (let at = 0; at < 300_000; at += 1000) {
      reader.take(sealed.subarray(at, at + 1000));
      expect(reader.next()).toBeUndefined();
      expect(reader.heldBytes).toBe(at + 1000);
      expect(reader.space().length).toBeLessThan(2 * (at + 70_000));
    }
  });

  it('the longest data frame is taken', () => {
    const sealed = sealFrame(key, 0, 3, 1, [Buffer.alloc(1_048_576, 'x')]);
    const shown = decode(Buffer.alloc(32, 7), cut(Buffer.concat(sealed), 65_536)).shown;
    expect(shown).toMatch(/^3\/1\/1048576\//);
  });

  it('any bytes at all end in BP_PROTOCOL or wait for more', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const { code, shown } = decode(Buffer.alloc(32), [Buffer.from(bytes)]);
        expect(['accept', 'BP_PROTOCOL']).toContain(code);
        expect(shown).toBe('none');
      }),
      runs(200),
    );
  });
});

describe('content hash', () => {
  it('in pieces is that of the whole', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 8 }), (pieces) => {
        const [one, other] = [new Xxh64(), new Xxh64()];
        // Two at once share a kernel, and must not mix.
        for (const piece of pieces) {
          one.update(piece);
          other.update(Buffer.from('other'));
        }
        expect(one.hex()).toBe(xxh64(Buffer.concat(pieces)));
      }),
      runs(50),
    );
  });
});

describe('errors on the wire', () => {
  it('say nothing of folders, and bring nothing to a terminal', () => {
    const error = new BackpackError('BP_STORAGE_IO', 'packs/x: EIO: /srv/private/x', {
      kind: 'storage',
      context: { location: '/srv/private', object: 'packs/x' },
      hint: 'check /srv/private',
    });
    expect(JSON.stringify(formatError(error))).not.toContain('private');
    expect(JSON.stringify(formatError(new TypeError('at /srv/private/x.js')))).not.toContain('private');
    const hostile = parseError(
      { code: 'rm -rf', kind: 'internal', retry: 'x', message: 'a\u001b[2J\u202eb\nc' },
      'tcp://h/x',
    );
    expect(hostile).toMatchObject({ code: 'BP_SERVER_FAILED', kind: 'storage', retry: 'never' });
    expect(hostile.message).toMatch(/^a\?\[2J\?b\?c /);
    expect(parseError({ message: 'x'.repeat(1e5), code: {} as never }, 'l').message.length).toBeLessThan(600);
  });
});

describe('access keys, locations, PEM files', () => {
  it('an access key file is read as it was written', () => {
    const { user, key } = parseAccessKey(formatAccessKey('laptop', Buffer.alloc(32, 9)));
    expect([user, hex(key.export())]).toEqual(['laptop', '09'.repeat(32)]);
    for (const text of [
      '',
      'BACKPACK-KEY 1\nuser=a\n',
      formatAccessKey('../x', Buffer.alloc(32)),
      formatAccessKey('a', Buffer.alloc(31)),
    ]) {
      expect(codeOf(() => parseAccessKey(text))).toBe('BP_ACCESS_KEY');
    }
  });

  it('locations', () => {
    expect(parseRemoteLocation('tcp://backup.example:9000/photos')).toEqual({
      tls: false,
      host: 'backup.example',
      port: 9000,
      repository: 'photos',
    });
    expect(parseRemoteLocation('tls://[::1]/a')).toMatchObject({ tls: true, host: '::1', port: 8417 });
    for (const text of [
      'tcp://h',
      'tcp://h/',
      'tcp://h/a/b',
      'tcp://h/..',
      'tcp://u:p@h/a',
      'tcp://h:0/a',
      'tcp://h:70000/a',
      'tcp:///a',
      'tcp://h/a?b',
    ]) {
      expect([text, codeOf(() => parseRemoteLocation(text))]).toEqual([text, 'BP_LOCATION']);
    }
  });

  it('a PEM file without certificate is refused', () => {
    expect(codeOf(() => readPem('nothing'))).toBe('BP_TLS');
  });
});
