/** `config show` shows every setting that the config file can have: one that is new must not be forgotten. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { project, World } from './support.ts';

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
}
type Line = Readonly<Record<'type' | 'key', string>>;

const schema = JSON.parse(readFileSync(join(project, 'schemas/config.schema.json'), 'utf8')) as Node;

test('every setting without a value has a line, too', () => {
  const world = new World();
  onTestFinished(() => world.remove());
  const lines = world.sh('backpack config show --json').stdout.trim().split('\n');
  const keys = lines.map((line) => JSON.parse(line) as Line).map(({ key }) => key);
  const top = schema.properties ?? {};
  // One of key and keyCommand; what has a line only where it is given; what is told as ignored.
  const others = [
    '$schema',
    'keyCommand',
    'accessKey',
    's3',
    'sets',
    'limits',
    'retention',
    'hooks',
    'extensions',
  ];
  for (const key of Object.keys(top).filter((name) => !others.includes(name))) expect(keys).toContain(key);
  const limits = Object.keys(top['limits']?.properties ?? {});
  expect(limits.length).toBeGreaterThan(5);
  for (const key of limits) expect(keys).toContain(`limits.${key}`);
});
