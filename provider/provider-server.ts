/** The provider's gRPC server on 127.0.0.1: which method is served by what, and how calls begin and end. */
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { callError } from "./call-error";
import type { Session } from "./session";

/** One method of the service. A method that nobody serves answers UNIMPLEMENTED, which the engine understands. */
export type Method = (request: never, signal: AbortSignal) => Promise<unknown>;

export interface ProviderServer {
  readonly port: number;
  /** Stops operations at a safe point, waits for their answers to be sent, then closes. */
  stop(): Promise<void>;
}

/** The SDK's own limit for messages between engine and plugins. */
const largestMessage = 400 * 1024 * 1024;

export async function startProviderServer(
  session: Session,
  methods: Readonly<Record<string, Method>>,
): Promise<ProviderServer> {
  const server = new Server({
    "grpc.max_receive_message_length": largestMessage,
    "grpc.max_send_message_length": largestMessage,
  });
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(methods)) implementation[name] = unary(session, name, method);
  server.addService(ResourceProviderService, implementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    port,
    async stop() {
      await session.end();
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    },
  };
}

function unary(session: Session, name: string, method: Method): UntypedHandleCall {
  const handle: handleUnaryCall<unknown, unknown> = (call, callback) => {
    session
      .track(
        (signal) => method(call.request as never, signal),
        // The engine has died or gone: nobody will hear the answer, so stop as ^C would.
        (abort) => call.on("cancelled", abort),
      )
      .then(
        (response) => callback(null, response),
        (thrown: unknown) => {
          if (thrown instanceof Error && thrown.stack !== undefined) void session.log.debug(`${name}: ${thrown.stack}`);
          callback(callError(thrown));
        },
      );
  };
  return handle;
}
