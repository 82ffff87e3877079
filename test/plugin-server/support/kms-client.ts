/** A KMS client as an API server is one: grpc-js over the unix socket, each call with a deadline. */
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { kmsV1Service, kmsV2Service, type UnaryMethod } from "../../../core/kms-protocol";

type Request<M> = M extends { readonly requestDeserialize: (bytes: Buffer) => infer R } ? R : never;
type Response<M> = M extends { readonly responseDeserialize: (bytes: Buffer) => infer R } ? R : never;
type Calls<S> = { readonly [K in keyof S]: (request: Request<S[K]>, options?: CallOptions) => Promise<Response<S[K]>> };

export interface CallOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export interface KmsClient {
  readonly v1: Calls<typeof kmsV1Service>;
  readonly v2: Calls<typeof kmsV2Service>;
  close(): void;
}

export function kmsClient(socket: string): KmsClient {
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), { "grpc.enable_retries": 0 });
  const calls = <S extends Readonly<Record<string, unknown>>>(service: S) =>
    Object.fromEntries(
      Object.entries(service).map(([name, method]) => [
        name,
        (request: unknown, options?: CallOptions) =>
          unary(client, method as UnaryMethod<unknown, unknown>, request, options),
      ]),
    ) as unknown as Calls<S>;
  return { v1: calls(kmsV1Service), v2: calls(kmsV2Service), close: () => client.close() };
}

function unary<Q, S>(
  client: Client,
  method: UnaryMethod<Q, S>,
  request: Q,
  { deadlineMs = 5_000, signal }: CallOptions = {},
): Promise<S> {
  return new Promise((resolve, reject) => {
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      { deadline: Date.now() + deadlineMs },
      (error: ServiceError | null, response?: S) => (error ? reject(error) : resolve(response as S)),
    );
    signal?.addEventListener("abort", () => call.cancel(), { once: true });
  });
}
