/**
 * The REST door: `https://management.azure.com` of the Azure fake, whose sockets, certificate and Entra it shares. An ARM client
 * gets here by `FakeAzure.connect` inside this process, and by `FakeAzure.processEnvironment` from another one.
 */
import type { FakeAzure } from "../azure/azure-cloud";
import { jsonAnswer, type Routed, type WireAnswer, type WireRequest } from "../azure/wire";
import { ArmError } from "./arm-error";
import type { ArmModel } from "./arm-model";
import { authenticate } from "./caller";

export const armHost = "management.azure.com";

export function openRestDoor(azure: FakeAzure, arm: ArmModel, now: () => number): void {
  azure.serve(armHost, (request: WireRequest): Routed => ({ place: undefined, answer: () => answer(request) }));

  function answer(request: WireRequest): WireAnswer {
    try {
      const caller = authenticate(request.headers["authorization"], azure.entra, now);
      const { status, headers, body } = arm.handle({ ...request, caller });
      return body === undefined ? { status, headers, body: "" } : jsonAnswer(status, body, headers);
    } catch (thrown) {
      if (!(thrown instanceof ArmError)) throw thrown;
      return jsonAnswer(thrown.status, thrown.body(), thrown.headers);
    }
  }
}
