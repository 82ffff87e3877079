/**
 * `/etc/kubernetes/azure.json`, the file by which a node of an Azure cluster knows its identity. Errors name fields of it,
 * never their values: half of them are secrets.
 */
import { readFile } from "node:fs/promises";
import { KmsEtcdError } from "../../../core/errors";
import { loadLibraries } from "./load-libraries";

/** How to get tokens. */
export type AzureCredentials =
  | { readonly kind: "system-assigned-identity" }
  /** `id` is a client id, or the identity's resource id (`/subscriptions/...`). */
  | { readonly kind: "user-assigned-identity"; readonly id: string }
  | {
      readonly kind: "client-secret";
      readonly tenantId: string;
      readonly clientId: string;
      readonly clientSecret: string;
    }
  | {
      readonly kind: "client-certificate";
      readonly tenantId: string;
      readonly clientId: string;
      readonly certificateFile: string;
      readonly certificatePassword: string | undefined;
    }
  | {
      readonly kind: "workload-identity";
      readonly tenantId: string;
      readonly clientId: string;
      readonly tokenFile: string;
    };

export interface AzureJson {
  /** As written; empty for the public cloud. */
  readonly cloud: string;
  readonly credentials: AzureCredentials;
}

/** Fields as cloud-provider-azure spells them. Its reader ignores case, and seed 004 writes `aadClientID`, so case is ignored. */
const textFields = [
  "cloud",
  "tenantId",
  "aadClientId",
  "aadClientSecret",
  "aadClientCertPath",
  "aadClientCertPassword",
  "userAssignedIdentityID",
  "aadFederatedTokenFile",
] as const;
const switchFields = [
  "useManagedIdentityExtension",
  "useFederatedWorkloadIdentityExtension",
  // The name in OpenShift's fork of the peer.
  "useWorkloadIdentityExtension",
] as const;

type TextField = (typeof textFields)[number];
type SwitchField = (typeof switchFields)[number];
type Fields = Readonly<Partial<Record<TextField, string>> & Partial<Record<SwitchField, boolean>>>;

/**
 * What the file says. Without the file, the variables that the workload identity webhook sets are enough.
 * Throws `not-found`, `permission-denied` or `invalid-input`.
 */
export async function readAzureJson(file: string, environment: NodeJS.ProcessEnv): Promise<AzureJson> {
  let content: string;
  try {
    content = await readFile(file, "utf8");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOENT" && environment["AZURE_FEDERATED_TOKEN_FILE"]) return fromFields({}, environment, file, true);
    throw code === "EACCES" || code === "EPERM"
      ? new KmsEtcdError("permission-denied", `${file} cannot be read by this user`, {
          remedy: "run the plugin as root (runAsUser: 0), because the file is readable for root only",
          cause,
        })
      : new KmsEtcdError("not-found", `${file} cannot be read: ${code ?? "unknown reason"}`, {
          remedy: "let --config-file-path name the node's azure.json, and mount it into the plugin's pod",
          cause,
        });
  }
  return fromFields(readFields(parse(content, file), file), environment, file, false);
}

function parse(content: string, file: string): unknown {
  // No cause in these errors: a parser's message quotes the text around the mistake.
  try {
    return JSON.parse(content);
  } catch {
    // The peer reads the file as YAML.
    try {
      return loadLibraries().parseYaml(content, { logLevel: "error" });
    } catch {
      throw new KmsEtcdError("invalid-input", `${file} is neither JSON nor YAML`, {
        remedy: "compare it with the azure.json of another node",
      });
    }
  }
}

function readFields(document: unknown, file: string): Fields {
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    throw new KmsEtcdError("invalid-input", `${file} is not an object with fields`, {
      remedy: "compare it with the azure.json of another node",
    });
  }
  const fields: Record<string, string | boolean> = {};
  for (const [written, value] of Object.entries(document)) {
    const lowerCased = written.toLowerCase();
    const textField = textFields.find((field) => field.toLowerCase() === lowerCased);
    const switchField = switchFields.find((field) => field.toLowerCase() === lowerCased);
    const field = textField ?? switchField;
    // An empty text says no more than a missing field.
    if (field === undefined || value === null || value === "") continue;
    if (field === textField && typeof value !== "string")
      throw invalid(file, written, "is not a text", "put it in quotes");
    if (field === switchField && typeof value !== "boolean") {
      throw invalid(file, written, "is neither true nor false", "write true or false, without quotes");
    }
    if (fields[field] !== undefined && fields[field] !== value) {
      throw invalid(file, written, "stands twice with two values, in two spellings", `keep ${field}`);
    }
    fields[field] = value as string | boolean;
  }
  return fields;
}

/** The peer's order: managed identity wins even where a service principal is given too (its pkg/auth/auth.go). */
function fromFields(fields: Fields, environment: NodeJS.ProcessEnv, file: string, onlyEnvironment: boolean): AzureJson {
  const cloud = fields.cloud ?? "";
  if (fields.useManagedIdentityExtension === true) {
    const id = fields.userAssignedIdentityID?.trim() ?? "";
    return {
      cloud,
      credentials: id === "" ? { kind: "system-assigned-identity" } : { kind: "user-assigned-identity", id },
    };
  }
  const wantsWorkloadIdentity =
    onlyEnvironment ||
    fields.useFederatedWorkloadIdentityExtension === true ||
    fields.useWorkloadIdentityExtension === true;
  if (wantsWorkloadIdentity) return { cloud, credentials: workloadIdentity(fields, environment, file) };
  const clientId = fields.aadClientId;
  if (fields.aadClientSecret) {
    return {
      cloud,
      credentials: {
        kind: "client-secret",
        tenantId: required(fields.tenantId, file, "tenantId", "aadClientSecret"),
        clientId: required(clientId, file, "aadClientId", "aadClientSecret"),
        clientSecret: fields.aadClientSecret,
      },
    };
  }
  if (fields.aadClientCertPath) {
    return {
      cloud,
      credentials: {
        kind: "client-certificate",
        tenantId: required(fields.tenantId, file, "tenantId", "aadClientCertPath"),
        clientId: required(clientId, file, "aadClientId", "aadClientCertPath"),
        certificateFile: fields.aadClientCertPath,
        certificatePassword: fields.aadClientCertPassword,
      },
    };
  }
  throw invalid(
    file,
    clientId ? "aadClientSecret" : "useManagedIdentityExtension",
    clientId ? "is missing, and so is aadClientCertPath" : "is not true, and there is no aadClientId",
    "give a managed identity (useManagedIdentityExtension: true) or a service principal (aadClientId, aadClientSecret, tenantId)",
  );
}

function workloadIdentity(fields: Fields, environment: NodeJS.ProcessEnv, file: string): AzureCredentials {
  const because = "useFederatedWorkloadIdentityExtension";
  return {
    kind: "workload-identity",
    tenantId: required(
      fields.tenantId ?? environment["AZURE_TENANT_ID"],
      file,
      "tenantId (or the environment variable AZURE_TENANT_ID)",
      because,
    ),
    clientId: required(
      fields.aadClientId ?? environment["AZURE_CLIENT_ID"],
      file,
      "aadClientId (or the environment variable AZURE_CLIENT_ID)",
      because,
    ),
    tokenFile: required(
      fields.aadFederatedTokenFile ?? environment["AZURE_FEDERATED_TOKEN_FILE"],
      file,
      "aadFederatedTokenFile (or the environment variable AZURE_FEDERATED_TOKEN_FILE)",
      because,
    ),
  };
}

function required(value: string | undefined, file: string, field: string, because: string): string {
  if (value) return value;
  throw invalid(file, field, "is missing", `write it: ${because} needs it`);
}

function invalid(file: string, field: string, problem: string, remedy: string): KmsEtcdError {
  return new KmsEtcdError("invalid-input", `${file}: ${field} ${problem}`, { remedy });
}
