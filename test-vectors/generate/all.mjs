// All vectors of all groups: { name, expect, bytes }.

import body from './cases/container-body.mjs';
import header from './cases/container-header.mjs';
import lz4 from './cases/container-lz4.mjs';
import table from './cases/container-table.mjs';
import accepted from './cases/container-valid.mjs';
import dedup from './cases/dedup.mjs';
import kdf from './cases/kdf.mjs';
import manifest from './cases/manifest.mjs';
import protocol from './cases/protocol.mjs';
import repository from './cases/repository.mjs';
import streams from './cases/streams.mjs';
import { encode } from './lib/vector.mjs';

export const GROUPS = ['kdf', 'container', 'manifest', 'repository', 'dedup', 'protocol'];

const CASES = [
  ['kdf', kdf],
  ['container', accepted],
  ['container', header],
  ['container', body],
  ['container', table],
  ['container', lz4],
  ['manifest', manifest],
  ['manifest', streams],
  ['repository', repository],
  ['dedup', dedup],
  ['protocol', protocol],
];

export function* allVectors() {
  for (const [group, cases] of CASES) {
    for (const [short, make] of Object.entries(cases)) {
      const name = `${group}/${short}`;
      const fields = make(name);
      yield { name, expect: fields.expect, bytes: encode(name, fields) };
    }
  }
}
