/** Sends the Azure SDKs' requests by an agent, so that a test can lead them to a fake. */
import { createHttpHeaders, type HttpClient } from "@azure/core-rest-pipeline";
import { type Agent, request as send } from "undici";

export function sdkHttpClient(agent: Agent): HttpClient {
  return {
    async sendRequest(request) {
      const { statusCode, headers, body } = await send(request.url, {
        dispatcher: agent,
        method: request.method,
        headers: request.headers.toJSON(),
        ...(typeof request.body === "string" ? { body: request.body } : {}),
        ...(request.abortSignal === undefined ? {} : { signal: request.abortSignal }),
      });
      const received = createHttpHeaders();
      for (const [name, value] of Object.entries(headers)) received.set(name, [value ?? ""].flat().join(", "));
      return { request, status: statusCode, headers: received, bodyAsText: await body.text() };
    },
  };
}
