/** What an API server's account of a failure says about its cause: all that there is to go by where etcd cannot be looked into. */

/** Nobody who has this configuration can read the object: waiting does not help. */
export function isUndecryptable(text: string): boolean {
  return /no matching prefix|identity transformer tried to read/.test(text);
}

/** Etcd did not answer, had no leader, or was slow: that passes, and says nothing about any object. A KMS plugin's silence is not meant. */
export function isEtcdTrouble(text: string): boolean {
  if (text.includes("etcdserver: ")) return true;
  const isSilence = /context deadline exceeded|code = (?:Unavailable|DeadlineExceeded)/.test(text);
  return isSilence && !/transform|decrypt|DEK|kms/i.test(text);
}
