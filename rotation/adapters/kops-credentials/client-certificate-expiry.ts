/** Until when the client certificate in a kubeconfig is valid, in milliseconds; undefined where it holds none that can be read. */
import { X509Certificate } from "node:crypto";
import { parse } from "yaml";

export function clientCertificateExpiry(kubeconfig: string): number | undefined {
  try {
    const { users } = parse(kubeconfig) as {
      readonly users?: readonly { readonly user?: Readonly<Record<string, unknown>> }[];
    };
    const data = users?.[0]?.user?.["client-certificate-data"];
    if (typeof data !== "string") return undefined;
    const time = Date.parse(new X509Certificate(Buffer.from(data, "base64")).validTo);
    return Number.isNaN(time) ? undefined : time;
  } catch {
    // What is wrong with it could hold a part of the credential.
    return undefined;
  }
}
