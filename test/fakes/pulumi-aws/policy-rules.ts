/** What AWS refuses in policy documents. Rules: IAM user guide, "JSON policy elements"; KMS developer guide, "Default key policy". */
import type { AwsProblem } from "./aws-type";

const elements = [
  "Sid",
  "Effect",
  "Principal",
  "NotPrincipal",
  "Action",
  "NotAction",
  "Resource",
  "NotResource",
  "Condition",
];
/** Operators that the components use; another one is a new rule to write here. */
const operators = ["StringEquals"];

export interface PolicyStatement {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Principal?: { readonly AWS?: readonly string[] | string };
  readonly Action: readonly string[] | string;
  readonly Resource: readonly string[] | string;
  readonly Condition?: Readonly<Record<string, unknown>>;
}

/** `kind`: a resource's own policy names principals, one of a role must not. */
export function policyProblems(path: string, document: string, kind: "resource" | "identity"): readonly AwsProblem[] {
  const problem = (reason: string): readonly AwsProblem[] => [{ path, reason: `MalformedPolicyDocument: ${reason}` }];
  let policy: { readonly Version?: unknown; readonly Statement?: unknown };
  try {
    policy = JSON.parse(document) as typeof policy;
  } catch {
    return [{ path, reason: "contains an invalid JSON policy" }];
  }
  if (policy.Version !== "2012-10-17") return problem("The policy must contain a valid version string");
  if (!Array.isArray(policy.Statement) || policy.Statement.length === 0) return problem("Statement is missing");
  const sids = new Set<string>();
  for (const statement of policy.Statement as readonly PolicyStatement[]) {
    const extra = Object.keys(statement).find((name) => !elements.includes(name));
    if (extra !== undefined) return problem(`unknown element ${extra}`);
    if (statement.Sid !== undefined && (!/^[0-9A-Za-z]*$/.test(statement.Sid) || sids.has(statement.Sid)))
      return problem(`Sid ${statement.Sid} is not alphanumeric or stands twice`);
    sids.add(statement.Sid ?? "");
    if (!["Allow", "Deny"].includes(statement.Effect)) return problem(`Effect ${statement.Effect}`);
    if ((statement.Principal === undefined) === (kind === "resource"))
      return problem(
        kind === "resource" ? "a statement has no principal" : "Policy document should not specify a principal",
      );
    if (
      list(statement.Action).length === 0 ||
      list(statement.Action).some((action) => !/^(\*|[a-z0-9-]+:[A-Za-z*]+)$/.test(action))
    )
      return problem("Actions/Conditions must be prefaced by a vendor");
    if (list(statement.Resource).length === 0) return problem("Policy statement must contain resources");
    const operator = Object.keys(statement.Condition ?? {}).find((name) => !operators.includes(name));
    if (operator !== undefined) return problem(`Invalid Condition type : ${operator}`);
  }
  return [];
}

/** KMS refuses a policy after which nobody could change it. `account` stands for the caller, who is let in by it. */
export function lockoutProblems(path: string, document: string, account: string): readonly AwsProblem[] {
  const { Statement } = JSON.parse(document) as { readonly Statement: readonly PolicyStatement[] };
  const mayChange = Statement.some(
    (statement) =>
      statement.Effect === "Allow" &&
      list(statement.Action).some((action) => ["kms:*", "kms:PutKeyPolicy"].includes(action)) &&
      list(statement.Principal?.AWS).some((principal) => principal.includes(`:${account}:`)),
  );
  if (mayChange) return [];
  return [
    {
      path,
      reason:
        "MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy in the future",
    },
  ];
}

export function list(value: readonly string[] | string | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === "string" ? [value] : value;
}
