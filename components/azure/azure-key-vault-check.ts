/** What is wrong with an azureKeyVault block, and what has to be said about it, wherever the block stands. */
import { keyVaultBlockCheck } from "../../core/azure-key-vault-block";
import { describeSkipped } from "../../core/azure-rules/rule";
import type { InputViolation } from "../../core/input-rules";
import { isKnownLater } from "../known-later";
import { monitoringViolations } from "./azure-key-monitoring";
import { type PrivateEndpointSettingsArgs, privateEndpointViolations } from "./vault-private-endpoint";

export interface AzureKeyVaultCheck {
  readonly violations: readonly InputViolation[];
  /** Warnings, and which rules were passed over. */
  readonly messages: readonly string[];
}

/** `block` stands at the property `path` of the component `name`. */
export function azureKeyVaultCheck(
  path: string,
  block: Readonly<Record<string, unknown>>,
  name: string,
  versions: readonly number[],
): AzureKeyVaultCheck {
  const { violations, warnings, skipped } = keyVaultBlockCheck(block, {
    versions,
    nameStem: `${name}-vault`,
    isLater: isKnownLater,
    now: new Date().toISOString(),
  });
  const passedOver = describeSkipped(skipped);
  return {
    violations: [
      ...violations,
      ...endpointViolations(block["privateEndpoint"]),
      ...monitoringViolations("monitoring", block["monitoring"]),
    ].map((violation) => ({ ...violation, path: `${path}.${violation.path}` })),
    messages: [
      ...warnings.map((found) => `${path}.${found.path} ${found.reason}; ${found.remedy} (rule ${found.id})`),
      ...(passedOver === undefined ? [] : [`${path}: ${passedOver}`]),
    ],
  };
}

function endpointViolations(settings: unknown): readonly InputViolation[] {
  return settings === undefined
    ? []
    : privateEndpointViolations("privateEndpoint", settings as PrivateEndpointSettingsArgs);
}
