/**
 * What is asked of a vault's audit log in Log Analytics (KQL). A workspace that has not got its first line yet has neither the table nor its
 * columns, hence `isfuzzy` and `column_ifexists`.
 */
import { KmsEtcdError } from "./errors";

/** Calls with keys of the vault that were refused: no permission, a key that is disabled, expired or not there. 401 is how a call begins. */
export function refusedCallsQuery(vaultId: string): string {
  return [
    ...auditLog(vaultId),
    `| where OperationName in ("KeyEncrypt", "KeyDecrypt", "KeyGet")`,
    `| where toint(column_ifexists("httpStatusCode_d", 0)) in (403, 404)`,
  ].join("\n");
}

/** Calls that the vault had too many of. */
export function throttledCallsQuery(vaultId: string): string {
  return [...auditLog(vaultId), `| where toint(column_ifexists("httpStatusCode_d", 0)) == 429`].join("\n");
}

/**
 * Keys that expire within 30 days: what the vault says of its own, once for each, and the dates that are known here (ISO 8601, by names of the
 * caller's), for as long as it is so.
 */
export function expiringKeysQuery(vaultId: string, expiries: Readonly<Record<string, string>>): string {
  const said = [
    ...auditLog(vaultId),
    `| where OperationName in ("KeyNearExpiryEventGridNotification", "KeyExpiredEventGridNotification")`,
    `| project Key = tostring(column_ifexists("id_s", ""))`,
  ];
  const rows = Object.entries(expiries).map(([name, date]) => `${literal(name)}, datetime(${isoDate(name, date)})`);
  if (rows.length === 0) return said.join("\n");
  return [
    "union isfuzzy=true",
    `(${said.join("\n")}),`,
    `(datatable(Key: string, Expires: datetime) [${rows.join(", ")}]`,
    "| where Expires < now() + 30d",
    "| project Key)",
  ].join("\n");
}

function auditLog(vaultId: string): readonly string[] {
  return [
    "union isfuzzy=true AzureDiagnostics",
    `| where ResourceProvider == "MICROSOFT.KEYVAULT" and ResourceId =~ ${literal(vaultId)}`,
  ];
}

/** KQL escapes texts as JSON does. */
function literal(text: string): string {
  return JSON.stringify(text);
}

function isoDate(name: string, text: string): string {
  const time = Date.parse(text);
  if (!Number.isNaN(time)) return new Date(time).toISOString();
  throw new KmsEtcdError("invalid-input", `the expiry of ${name} is ${JSON.stringify(text)}, which is no date`, {
    remedy: "write it as 2028-01-31T00:00:00Z",
  });
}
