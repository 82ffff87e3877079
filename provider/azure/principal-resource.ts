/** The AzurePrincipal resource: makes sure that an id is an object id, because Azure takes a grant to any number. */
import { setTimeout as sleep } from "node:timers/promises";
import { KmsEtcdError } from "../../core/errors";
import { unknownInputViolations } from "../../core/input-rules";
import type { AzureClients, PrincipalKind } from "../../rotation/adapters/azure/azure-clients";
import { changedProperties } from "../property-diff";
import { type Properties, unknown } from "../property-values";
import type { CheckProblem, Operation, Resource } from "../resource";

const kinds: readonly PrincipalKind[] = ["ServicePrincipal", "User", "Group"];
/** A principal that was just made is not seen everywhere at once. */
const spreadMs = 60_000;
const pauseMs = 2_000;
const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export interface PrincipalLimits {
  /** How long a principal may take to be seen. */
  readonly spreadMs: number;
  readonly pauseMs: number;
}

export function createPrincipalResource(
  clients: () => AzureClients,
  limits: PrincipalLimits = { spreadMs, pauseMs },
): Resource {
  async function lookUp(inputs: Properties, preview: boolean, operation: Operation): Promise<Properties> {
    const { objectId } = inputs;
    if (typeof objectId !== "string") return { objectId: unknown, displayName: unknown };
    const kind = kinds.find((known) => known === inputs["kind"]) ?? "ServicePrincipal";
    const start = performance.now();
    for (;;) {
      const found = await clients().principals.find(objectId, kind, operation.signal);
      switch (found.kind) {
        case "found":
          return { objectId, displayName: found.displayName };
        case "client-id":
          throw new KmsEtcdError(
            "invalid-input",
            `objectId is ${objectId}, the client id of the application "${found.displayName}": a grant to it would have no effect`,
            { remedy: `write ${found.objectId}, the object id of its service principal` },
          );
        case "not-allowed":
          await operation.warn(
            `whether ${objectId} is an object id could not be checked: Microsoft Graph does not let us ask. See that \`az ad sp show --id ${objectId} --query id\` prints the same id`,
          );
          return { objectId };
        case "not-found":
          // In a preview it was known before, so it is not new.
          if (preview || performance.now() - start + limits.pauseMs > limits.spreadMs) throw notFound(objectId, kind);
      }
      operation.progress(`waiting for ${objectId} to be seen in Entra ID`);
      await sleep(limits.pauseMs, undefined, { signal: operation.signal }).catch((cause: unknown) => {
        throw new KmsEtcdError("cancelled", `stopped while looking ${objectId} up`, { cause });
      });
    }
  }

  return {
    async check(_olds, news) {
      return { inputs: news, problems: problemsOf(news) };
    },
    async diff(state, news) {
      return { inputs: changedProperties(state.inputs, news), outputs: [] };
    },
    async create(inputs, preview, operation) {
      const outputs = await lookUp(inputs, preview, operation);
      const { objectId } = outputs;
      return { id: !preview && typeof objectId === "string" ? objectId : "", outputs };
    },
    // A lookup that fails must not stand in the way of a destroy.
    read: async (state) => state,
    update: (_state, inputs, preview, operation) => lookUp(inputs, preview, operation),
    delete: async () => undefined,
  };
}

function notFound(objectId: string, kind: PrincipalKind): KmsEtcdError {
  const command = {
    ServicePrincipal: "az ad sp show --id CLIENT_ID",
    User: "az ad user show --id NAME",
    Group: "az ad group show --group NAME",
  };
  return new KmsEtcdError("not-found", `objectId is ${objectId}, and Entra ID has no ${kind} with that object id`, {
    remedy: `write what \`${command[kind]} --query id --output tsv\` prints`,
  });
}

function problemsOf(inputs: Properties): readonly CheckProblem[] {
  const { objectId, kind } = inputs;
  const isId = objectId === unknown || (typeof objectId === "string" && guid.test(objectId));
  const isKind = kind === undefined || kind === null || kind === unknown || kinds.some((known) => known === kind);
  return [
    ...unknownInputViolations(inputs, ["objectId", "kind"]),
    ...(isId
      ? []
      : [
          {
            path: "objectId",
            reason: `is ${JSON.stringify(objectId)}; write an object id, as \`az ad sp show --query id\` prints it`,
          },
        ]),
    ...(isKind ? [] : [{ path: "kind", reason: `is ${JSON.stringify(kind)}; write one of ${kinds.join(", ")}` }]),
  ];
}
