/** The arguments of the plugin for one key: plugin-server/config/ has the flags, which are those of the upstream plugins. */
import { KmsEtcdError } from "../../../core/errors";
import type { KeyReference } from "../../../core/key-reference";
import { longestSocketPath } from "../../../core/static-pod";

/** Throws `invalid-input` for a socket that cannot be, and for a key that flags cannot express. */
export function pluginArguments(key: KeyReference, socketPath: string): readonly string[] {
  if (Buffer.byteLength(socketPath) > longestSocketPath) {
    const limit = `the ${longestSocketPath} bytes of a unix socket's path`;
    throw new KmsEtcdError("invalid-input", `${socketPath} is longer than ${limit}`, {
      remedy: "choose a shorter state directory",
    });
  }
  // No ports: several instances share the host, and the engine asks over the socket.
  switch (key.kind) {
    case "local":
      return ["local", `--key-file=${key.file}`, `--listen-addr=unix://${socketPath}`, "--healthz-port=0"];
    case "azure":
      return [
        "azure",
        `--keyvault-name=${key.vaultName}`,
        `--key-name=${key.keyName}`,
        `--key-version=${key.keyVersion}`,
        ...(key.managedHsm === true ? ["--managed-hsm=true"] : []),
        `--listen-addr=unix://${socketPath}`,
        "--healthz-port=0",
        "--metrics-addr=0",
      ];
    case "aws":
      return [
        "aws",
        `--key=${key.keyArn}`,
        `--region=${key.region}`,
        ...contextFlag(key.encryptionContext ?? {}),
        `--listen=${socketPath}`,
        "--health-port=:0",
      ];
  }
}

function contextFlag(context: Readonly<Record<string, string>>): readonly string[] {
  const pairs = Object.entries(context);
  const unwritable = pairs.find(([name, value]) => /[,=]/.test(name) || value.includes(","));
  if (unwritable !== undefined) {
    throw new KmsEtcdError(
      "invalid-input",
      `the encryption context's entry ${unwritable[0]} has a comma, or an equals sign in its name, which the plugin's flag cannot express`,
      { remedy: "choose another name or value" },
    );
  }
  return pairs.length === 0
    ? []
    : [`--encryption-context=${pairs.map(([name, value]) => `${name}=${value}`).join(",")}`];
}
