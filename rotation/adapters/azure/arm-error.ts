/** A refusal of Azure Resource Manager's as our error: its own code and words, and what to do about it. */
import type { PipelineResponse } from "@azure/core-rest-pipeline";
import { type ErrorCode, KmsEtcdError } from "../../../core/errors";

/** What ARM has answered, kept as the cause of an error. */
export interface ArmProblem {
  readonly status: number;
  readonly code: string;
}

/** The code in ARM's answer, for errors of our ARM client that have one. */
export function armCodeOf(thrown: unknown): string | undefined {
  const cause = (thrown as { cause?: Partial<ArmProblem> } | undefined)?.cause;
  return typeof cause?.code === "string" && typeof cause.status === "number" ? cause.code : undefined;
}

/** By ARM's code, where that says more than the status. */
const remedies: Readonly<Record<string, string>> = {
  AuthorizationFailed:
    "grant who runs Pulumi a role with that action (docs/azure.md and docs/aks.md have them), and wait some minutes until it has arrived",
  LinkedAuthorizationFailed:
    "grant that action on what is named to the principal that is named, and wait some minutes until it has arrived",
  InvalidAuthenticationTokenTenant: "sign in to the subscription's own tenant (ARM_TENANT_ID)",
  SubscriptionNotFound: "name the right subscription (ARM_SUBSCRIPTION_ID), and sign in to its tenant (ARM_TENANT_ID)",
  RequestDisallowedByPolicy: "have the Azure Policy that is named exempt it, or meet what it asks for",
  ScopeLocked: "remove the lock that is named as long as this runs",
  NoRegisteredProviderFound: "update this package, or register the provider (az provider register --namespace NAME)",
  AzureKeyVaultKmsValidateIdentityPermissionCustomerError:
    "grant the cluster's identity Key Vault Crypto User on the vault (or the key permissions encrypt and decrypt); AKS says the same of a key that is not RSA, not enabled, expired or lacks these operations, and of a vault that shuts some networks out",
  InternalOperationError:
    "see what AKS says of it (Diagnose and solve problems, KMS; az monitor activity-log list), mend that, then run again",
  RunCommandDisabled: "set apiServerAccessProfile.disableRunCommand to false, or run Pulumi in the cluster's network",
};

const byStatus: readonly (readonly [of: (status: number) => boolean, kind: ErrorCode, remedy: string])[] = [
  [(status) => status === 401, "permission-denied", "sign in again"],
  [(status) => status === 403, "permission-denied", "grant who runs Pulumi what is missing"],
  [(status) => status === 404, "not-found", "see whether it is there, and in this subscription (ARM_SUBSCRIPTION_ID)"],
  [(status) => status === 409, "conflict", "wait until what is under way has ended, then run again"],
  [(status) => status === 412, "conflict", "somebody else changes it at the same time: run again"],
  [(status) => status === 429, "throttled", "run again some minutes later"],
  [
    (status) => status >= 500,
    "unreachable",
    "run again some minutes later; if it stays, see whether Azure reports an outage",
  ],
  [() => true, "invalid-input", "mend what Azure names, then run again"],
];

/** `{error: {code, message}}`, or without the `error` around it: of a response, and of an operation that has failed. */
export function armError(response: PipelineResponse, id: string): KmsEtcdError {
  const body = jsonOf(response.bodyAsText ?? "");
  const inner = body["error"];
  const error = typeof inner === "object" && inner !== null ? (inner as Readonly<Record<string, unknown>>) : body;
  const code = typeof error["code"] === "string" ? error["code"] : String(response.status);
  const message = typeof error["message"] === "string" ? error["message"] : "";
  const cause: ArmProblem = { status: response.status, code };
  const [, kind, remedy] = byStatus.find(([isOf]) => isOf(response.status)) ?? [];
  return new KmsEtcdError(kind ?? "invalid-input", `Azure refuses what was asked of ${id}: ${code}: ${message}`, {
    remedy: remedies[code] ?? remedy ?? "",
    cause,
  });
}

/** A gateway's page in between is no JSON; the status has to do then. */
function jsonOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}
