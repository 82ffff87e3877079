/** An admission webhook on this machine, over TLS with an authority of its own. */
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createCertificateAuthority } from "../../../control-plane/pki/certificate-authority";

export interface AdmissionServer {
  readonly url: string;
  /** Base64 of the authority's certificate, as webhook configurations take it. */
  readonly caBundle: string;
  /** Requests so far. */
  readonly asked: () => number;
  close(): Promise<void>;
}

/** Refuses everything it is asked about, quoting what it refuses: careless webhooks do. */
export async function admissionServer(): Promise<AdmissionServer> {
  const authority = await createCertificateAuthority("webhook");
  const { certificate, privateKey } = await authority.issue({ commonName: "webhook", ipAddresses: ["127.0.0.1"] });
  let asked = 0;
  const server = createServer({ cert: certificate, key: privateKey }, (request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      asked += 1;
      const { request: review } = JSON.parse(body) as { request: { uid: string; object: { data: object } } };
      const message = `no: ${JSON.stringify(review.object.data)}`;
      response.writeHead(200, { "content-type": "application/json" });
      response.end(
        JSON.stringify({
          apiVersion: "admission.k8s.io/v1",
          kind: "AdmissionReview",
          response: { uid: review.uid, allowed: false, status: { code: 403, message } },
        }),
      );
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    caBundle: Buffer.from(authority.certificate).toString("base64"),
    asked: () => asked,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
