/** ARNs of those whom a key's policy names. AWS takes a policy with a name that it does not know for malformed, when the key is made. */

const names = "[\\w+=,.@-]+";
/** A path stands between kind and name: `role/team/etcd/masters`. */
const path = "(?:[^\\s*?/]+/)*";
const forms = [
  `iam::\\d{12}:(?:root|(?:role|user)/${path}${names})`,
  `sts::\\d{12}:(?:assumed-role/${names}/${names}|federated-user/${names})`,
];
const arnForm = new RegExp(`^arn:aws[a-z-]*:(?:${forms.join("|")})$`);

/** Why `arn` can't be a principal in a key's policy, with what to write; undefined when it can. */
export function principalArnProblem(arn: unknown): string | undefined {
  if (typeof arn === "string" && arnForm.test(arn)) return undefined;
  const write = "write arn:aws:iam::ACCOUNT:role/NAME, or the ARN of a user, a session or an account's root";
  return `is ${JSON.stringify(arn)}, which AWS takes for no principal; ${write}`;
}
