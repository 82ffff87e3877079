/**
 * Ends a unary call together with its answer. grpc-js ends a stream when the answer's bytes have left, a turn of the event loop
 * later. Nothing follows the one message of a unary call, so its end need not wait for that.
 */
import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";

export const endWithAnswer: ServerInterceptor = (_method, call) => new EndedWithAnswer(call);

class EndedWithAnswer extends ServerInterceptingCall {
  override sendMessage(message: unknown, sent: () => void): void {
    super.sendMessage(message, nothing);
    // After a message that can't be sent grpc-js has ended the call by itself, and ignores a second end.
    sent();
  }
}

const nothing = (): void => undefined;
