/** Locations on a Backpack server: `tcp://HOST:PORT/NAME` and `tls://HOST:PORT/NAME`. */
import { BackpackError } from '../../base/errors.ts';

/** Port of a server when none is given. */
const defaultPort = 8417;

/** Name of a repository on a server. */
const namePattern = '[A-Za-z0-9_][A-Za-z0-9._-]{0,99}';

/** A location taken apart. */
export interface RemoteLocation {
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  readonly repository: string;
}

const shape = new RegExp(
  `^(tcp|tls)://(?:\\[([0-9A-Fa-f:.%a-z]+)\\]|([A-Za-z0-9._-]+))(?::(\\d{1,5}))?/(${namePattern})/?$`,
);
const throughShape = new RegExp(`^[a-z][a-z0-9+.-]*://([^\\0-\\x1f\\x7f]+)/(${namePattern})/?$`);

/** @throws BackpackError BP_LOCATION */
export function parseRemoteLocation(location: string): RemoteLocation {
  const match = shape.exec(location);
  const port = match?.[4] === undefined ? defaultPort : Number(match[4]);
  if (match === null || port < 1 || port > 65_535) {
    throw new BackpackError('BP_LOCATION', `not the address of a repository on a server: ${location}`, {
      kind: 'usage',
      hint: 'give tcp://HOST:PORT/NAME or tls://HOST:PORT/NAME; NAME is one word of letters, digits, . _ and -',
    });
  }
  return { tls: match[1] === 'tls', host: match[2] ?? match[3]!, port, repository: match[5]! };
}

/**
 * `SCHEME://ADDRESS/NAME` of a transport: what comes before the last slash is the transport's.
 * @throws BackpackError BP_LOCATION
 */
export function parseTransportLocation(
  scheme: string,
  location: string,
): { readonly address: string; readonly repository: string } {
  const match = throughShape.exec(location);
  if (match !== null) return { address: match[1]!, repository: match[2]! };
  throw new BackpackError('BP_LOCATION', `not the address of a repository on a server: ${location}`, {
    kind: 'usage',
    hint: `give ${scheme}://ADDRESS/NAME; NAME is one word of letters, digits, . _ and -`,
  });
}
