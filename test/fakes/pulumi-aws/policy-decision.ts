/**
 * Whether a call is let in by statements, as AWS decides (IAM user guide, "Policy evaluation logic"): an explicit Deny wins, and what nothing
 * allows is denied. For calls that were recorded against statements that the components have made.
 */
import { list, type PolicyStatement } from "./policy-rules";

export interface AwsCall {
  /** `kms:Encrypt`. */
  readonly action: string;
  /** An ARN. */
  readonly resource: string;
  readonly context?: Readonly<Record<string, string>>;
  /** Who calls; for a resource's own policy. */
  readonly principal?: string;
}

/** Of statements with principals, those count that name the caller. */
export function isAllowed(statements: readonly PolicyStatement[], call: AwsCall): boolean {
  const matching = statements.filter((statement) => matches(statement, call));
  return matching.some(({ Effect }) => Effect === "Allow") && !matching.some(({ Effect }) => Effect === "Deny");
}

function matches({ Principal, Action, Resource, Condition }: PolicyStatement, call: AwsCall): boolean {
  return (
    (Principal === undefined || list(Principal.AWS).some((who) => who === "*" || who === call.principal)) &&
    // Actions are compared without case, ARNs with it.
    list(Action).some((action) => like(action.toLowerCase(), call.action.toLowerCase())) &&
    list(Resource).some((resource) => like(resource, call.resource)) &&
    Object.entries(Condition ?? {}).every(([operator, keys]) => holds(operator, keys, call))
  );
}

/** Every key of the condition must hold; a key that the call does not have never does. */
function holds(operator: string, keys: unknown, { context = {} }: AwsCall): boolean {
  if (operator !== "StringEquals") throw new Error(`a condition ${operator} is a new rule to write here`);
  const prefix = "kms:EncryptionContext:";
  return Object.entries(keys as Readonly<Record<string, readonly string[] | string>>).every(([key, values]) => {
    if (!key.startsWith(prefix)) throw new Error(`a condition on ${key} is a new rule to write here`);
    const value = context[key.slice(prefix.length)];
    return value !== undefined && list(values).includes(value);
  });
}

function like(pattern: string, text: string): boolean {
  const form = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".");
  return new RegExp(`^${form}$`).test(text);
}
