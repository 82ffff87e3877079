/** A Python with moto in it: this machine's, or one in the cache. */
import { join } from "node:path";
import { hasPackage, pythonEnvironment } from "../../support/python-environment";

/** The one that the recorded ciphertexts were made with. */
const moto = { name: "moto", version: "5.2.1", extras: "[server,kms]" };

/** The path of the Python; undefined, with the reason on standard output, where there is none and none can be made. */
export async function findMotoPython(): Promise<string | undefined> {
  if (await hasPackage("python3", moto)) return "python3";
  const bin = await pythonEnvironment(moto);
  return bin && join(bin, "python3");
}
