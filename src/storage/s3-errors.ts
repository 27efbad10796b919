/** What the AWS SDK throws, as errors of the storage contract. Messages of servers are data: they are kept short. */
import { BackpackError, type ErrorKind, isBackpackError, type Retry } from '../base/errors.ts';
import { brokenConnection, exists, notFound, shortRead, timedOut } from './storage-errors.ts';

/** What is known of a failed request. */
export interface FailedRequest {
  readonly location: string;
  /** Object, or what else was asked for. */
  readonly object: string;
  readonly timeoutMs: number;
}

interface SdkError extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly statusCode?: number };
  readonly code?: string;
}

const retryNames = new Set([
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'BadDigest',
  'IncompleteBody',
  'SlowDown',
  'XAmzContentSHA256Mismatch',
  'OperationAborted',
  'ConditionalRequestConflict',
]);
const lostCredentials = new Set([
  'CredentialsProviderError',
  'ExpiredToken',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'TokenRefreshRequired',
]);
const noBucket = new Set(['NoSuchBucket', 'InvalidBucketName']);
const certificate = /^(?:CERT_|ERR_TLS_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;

/** HTTP status of an answer; 0 when there was none. */
function statusOf(error: unknown): number {
  const { $metadata, $response } = error as SdkError;
  return $metadata?.httpStatusCode ?? $response?.statusCode ?? 0;
}

/** Translates; what is a BackpackError already stays as it is. */
export function fromSdkError(error: unknown, request: FailedRequest): BackpackError {
  if (isBackpackError(error)) return error;
  const { location, object } = request;
  const found = error as SdkError;
  const name = found.name ?? '';
  const status = statusOf(error);
  if (name === 'TimeoutError') return timedOut(location, object, request.timeoutMs);
  if (name === 'AnswerTooLong')
    return make('BP_STORAGE_IO', `${object}: ${location} answers without end`, 'check the server');
  if (lostCredentials.has(name)) {
    const hint = 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; never in the location';
    return make('BP_STORAGE_DENIED', `no usable AWS credentials for ${location}: ${short(found)}`, hint);
  }
  if (noBucket.has(name))
    return make(
      'BP_BUCKET_MISSING',
      `there is no bucket for ${location}`,
      'make the bucket, or check its name',
    );
  if (name === 'NoSuchKey' || name === 'NotFound' || status === 404) return notFound(location, object);
  if (status === 412 || name === 'PreconditionFailed') return exists(location, object);
  if (status === 416) return shortRead(location, object, 0, 0);
  if (name === 'QuotaExceeded' || status === 507 || status === 413)
    return make('BP_NO_SPACE', `no space left at ${location}: ${short(found)}`, 'raise the quota', 'space');
  if (status === 429 || retryNames.has(name) || status === 409 || (status >= 500 && status !== 501))
    return make(
      'BP_STORAGE_BUSY',
      `${location} answers ${status} ${name}`,
      'the server is overloaded or has a fault; run the command again later; what is stored is kept',
      'network',
      'now',
    );
  if (status === 401 || status === 403) {
    const hint = 'check what the credentials may do in this bucket';
    return make('BP_STORAGE_DENIED', `${object}: ${location} refused: ${status} ${short(found)}`, hint);
  }
  if (certificate.test(found.code ?? ''))
    return make(
      'BP_STORAGE_NETWORK',
      `${location} has no valid certificate: ${short(found)}`,
      'give Node.js the certificate of your authority in NODE_EXTRA_CA_CERTS',
      'network',
    );
  if (status === 0 && found.code === undefined && name === 'Error') {
    const hint = 'check region, endpoint and credentials: docs/storage.md says what can be set';
    return make('BP_STORAGE_IO', `${location} cannot be asked: ${short(found)}`, hint);
  }
  // An answer that cannot be understood may have been cut short.
  if (status === 0 || (status >= 200 && status < 300)) return brokenConnection(location, object, error);
  return make(
    'BP_STORAGE_IO',
    `${object}: ${location} answers ${status} ${short(found)}`,
    'check the server',
  );

  function make(
    code: string,
    message: string,
    hint: string,
    kind: ErrorKind = 'storage',
    retry: Retry = 'never',
  ): BackpackError {
    return new BackpackError(code, message, {
      kind,
      retry,
      hint,
      context: { location, object, status },
      cause: error,
    });
  }
}

function short({ name, message }: Error): string {
  return `${name}: ${(message ?? '').replace(/\s+/g, ' ').slice(0, 160)}`;
}
