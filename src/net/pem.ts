/** PEM files that hold everything TLS needs: own private key, own certificate, then the certificates that are trusted. */
import { BackpackError } from '../base/errors.ts';
import type { TlsOptions } from './transport.ts';

const block = /-----BEGIN ([A-Z ]+)-----\r?\n[A-Za-z0-9+/=\r\n]+-----END \1-----/g;

/** @throws BackpackError BP_TLS when neither key nor certificate is in it */
export function readPem(text: string): Pick<TlsOptions, 'cert' | 'key' | 'ca'> {
  const found = [...text.matchAll(block)];
  const key = found.find(([, label]) => label!.endsWith('PRIVATE KEY'))?.[0];
  const certificates = found.filter(([, label]) => label === 'CERTIFICATE').map(([all]) => all);
  // Without a key of its own, all certificates are those of others.
  const own = key === undefined ? [] : certificates.slice(0, 1);
  const ca = certificates.slice(own.length);
  if (certificates.length === 0 || (key !== undefined && own.length === 0)) {
    throw new BackpackError('BP_TLS', 'this file has no certificate', {
      kind: 'key',
      hint: 'give a file that backpack serve tls init made; docs/server.md says what is in it',
    });
  }
  return {
    ...(key === undefined ? {} : { key, cert: own[0]! }),
    ...(ca.length === 0 ? {} : { ca: ca.join('\n') }),
  };
}
