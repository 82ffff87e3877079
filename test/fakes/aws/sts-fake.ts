/** AWS STS as far as a web identity needs it: AssumeRoleWithWebIdentity in the query protocol. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { AccessKey } from "./sigv4";

export interface StsFake {
  readonly url: string;
  /** The web identity tokens that were shown so far. */
  readonly tokens: readonly string[];
  close(): Promise<void>;
}

/** Gives what `issue` makes to a holder of a token that `accepts`. */
export async function startStsFake(accepts: (token: string) => boolean, issue: () => AccessKey): Promise<StsFake> {
  const tokens: string[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const form = new URLSearchParams(body);
      const token = form.get("WebIdentityToken") ?? "";
      tokens.push(token);
      response.setHeader("content-type", "text/xml");
      if (form.get("Action") !== "AssumeRoleWithWebIdentity" || !form.get("RoleArn")?.startsWith("arn:aws:iam::")) {
        response.writeHead(400).end(errorBody("ValidationError", "not a request for a role"));
      } else if (!accepts(token)) {
        response.writeHead(400).end(errorBody("InvalidIdentityToken", "The web identity token could not be validated"));
      } else {
        response.end(credentialsBody(issue()));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tokens,
    async close() {
      server.closeAllConnections();
      await new Promise<unknown>((resolve) => server.close(resolve));
    },
  };
}

const namespace = "https://sts.amazonaws.com/doc/2011-06-15/";

function credentialsBody(key: AccessKey): string {
  const expiration = new Date(key.expiresAt ?? Date.now() + 3_600_000).toISOString();
  return `<AssumeRoleWithWebIdentityResponse xmlns="${namespace}"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>${key.accessKeyId}</AccessKeyId><SecretAccessKey>${key.secretAccessKey}</SecretAccessKey><SessionToken>${key.sessionToken}</SessionToken><Expiration>${expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>`;
}

function errorBody(code: string, message: string): string {
  return `<ErrorResponse xmlns="${namespace}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`;
}
