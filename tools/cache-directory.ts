/** Where built and downloaded programs are kept, outside the checkout, so that all checkouts share them. */
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";

/** `$KMS_ETCD_CACHE`, else `$XDG_CACHE_HOME/kms-etcd`, else `~/.cache/kms-etcd`. */
export function cacheDirectory(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const own = environment["KMS_ETCD_CACHE"];
  if (own) return resolve(own);
  const xdg = environment["XDG_CACHE_HOME"];
  // XDG Base Directory Specification: a relative path there is to be ignored.
  return xdg && isAbsolute(xdg) ? join(xdg, "kms-etcd") : join(homedir(), ".cache", "kms-etcd");
}
