/** Filter patterns of CloudWatch Logs for what CloudTrail writes about calls to KMS that failed. */

/** KMS refused: no leave, or the key is disabled, pending deletion or not there. */
const refused = ["AccessDenied*", "DisabledException", "KMSInvalidStateException", "NotFoundException"];
const throttled = ["ThrottlingException"];

export function deniedPattern(keyArn: string): string {
  return patternOf(keyArn, refused);
}

export function throttledPattern(keyArn: string): string {
  return patternOf(keyArn, throttled);
}

/** A refused call names its key as resource, as parameter, or in the words of the error alone. */
function patternOf(keyArn: string, codes: readonly string[]): string {
  const anyCode = codes.map((code) => `($.errorCode = "${code}")`).join(" || ");
  const anyPlace = [
    `($.resources[0].ARN = "${keyArn}")`,
    `($.requestParameters.keyId = "${keyArn}")`,
    `($.errorMessage = "*${keyArn}*")`,
  ].join(" || ");
  return `{ ($.eventSource = "kms.amazonaws.com") && (${anyCode}) && (${anyPlace}) }`;
}
