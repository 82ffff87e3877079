/**
 * Which certificate authorities the cloud is asked by: those that a Go program finds, because manifests for the upstream
 * plugins mount the host's /etc/ssl or set Go's variables, and a private authority is known only there.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { KmsEtcdError } from "../core/errors";

/** Where Linux distributions keep them all in one file (Go's crypto/x509/root_linux.go). */
const systemFiles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * PEM texts, in the place of the authorities that Node brings along; undefined where those count: the image has no file of
 * its own. Throws `invalid-input` for a variable that names nothing readable.
 */
export function certificateAuthorities(
  variables: Readonly<Record<string, string | undefined>>,
  hostFiles: readonly string[] = systemFiles,
): readonly string[] | undefined {
  const file = variables["SSL_CERT_FILE"] ?? "";
  const directories = variables["SSL_CERT_DIR"] ?? "";
  // Node adds these by itself, but only to its own.
  const extraFile = variables["NODE_EXTRA_CA_CERTS"] ?? "";
  const extra = extraFile === "" ? [] : [readNamed("NODE_EXTRA_CA_CERTS", extraFile)];
  if (file !== "" || directories !== "") {
    return [
      ...(file === "" ? [] : [readNamed("SSL_CERT_FILE", file)]),
      ...directories.split(":").flatMap((directory) => (directory === "" ? [] : readDirectory(directory))),
      ...extra,
    ];
  }
  const hostFile = hostFiles.find((candidate) => existsSync(candidate));
  return hostFile === undefined ? undefined : [readFileSync(hostFile, "utf8"), ...extra];
}

function readNamed(variable: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new KmsEtcdError("invalid-input", `${variable} names ${file}, which cannot be read`, {
      remedy: "name a PEM file that the plugin may read, or unset the variable",
      cause,
    });
  }
}

/** As Go does it: whatever in the directory is a certificate counts, and nothing else is an error. */
function readDirectory(directory: string): readonly string[] {
  try {
    return readdirSync(directory).flatMap((name) => {
      try {
        const text = readFileSync(join(directory, name), "utf8");
        return text.includes("-----BEGIN CERTIFICATE-----") ? [text] : [];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}
