/** Loads the packages with the first call that needs them: they take longer than all else together, and the socket comes first. */
import type * as AzureLibraries from "./azure-libraries";

export function loadLibraries(): typeof AzureLibraries {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- import() cannot find a file of ours without an extension
  return require("./azure-libraries") as typeof AzureLibraries;
}
