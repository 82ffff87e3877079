/** One call to a service of the Pulumi engine, as a promise. */
import { Client, credentials, type MethodDefinition } from "@grpc/grpc-js";

export interface UnaryClient {
  call<Request, Response>(method: MethodDefinition<Request, Response>, request: Request): Promise<Response>;
  close(): void;
}

/**
 * A client for `address` (host:port on this machine). Not the SDK's generated client classes: they check credentials with
 * `instanceof`, which fails where the SDK brings a grpc-js of its own.
 */
export function connectUnary(address: string): UnaryClient {
  const client = new Client(address, credentials.createInsecure());
  return {
    call: (method, request) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request,
          (error, response) => {
            if (error !== null) reject(error);
            else if (response === undefined) reject(new Error(`${method.path} gave no answer`));
            else resolve(response);
          },
        );
      }),
    close: () => client.close(),
  };
}
