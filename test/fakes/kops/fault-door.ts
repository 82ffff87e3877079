/** A door to moto that can refuse: what AWS answers when a store must not be written, or when there were too many calls. */
import { request as ask, createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface FaultAnswer {
  readonly status: number;
  readonly body: string;
}

export interface FaultDoor {
  readonly url: string;
  /** Undefined: the request goes on to moto. */
  fault: (request: IncomingMessage) => FaultAnswer | undefined;
  /** How many requests were refused. */
  refused(): number;
  stop(): Promise<void>;
}

/** What S3 answers (Amazon S3 API reference, "Error responses"). */
export function s3Error(status: number, code: string): FaultAnswer {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${code}</Message><RequestId>1</RequestId></Error>`;
  return { status, body };
}

/** What EC2 answers (Amazon EC2 API reference, "Error codes"). */
export function ec2Error(status: number, code: string): FaultAnswer {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>${code}</Code><Message>${code}</Message></Error></Errors><RequestID>1</RequestID></Response>`;
  return { status, body };
}

export async function startFaultDoor(moto: string): Promise<FaultDoor> {
  let refused = 0;
  const behind = new URL(moto);
  const server = createServer((request, response) => {
    const answer = door.fault(request);
    if (answer !== undefined) {
      refused += 1;
      request.resume().once("end", () => {
        response.writeHead(answer.status, { "content-type": "application/xml" });
        response.end(request.method === "HEAD" ? "" : answer.body);
      });
      return;
    }
    const { method, url: path, headers } = request;
    const passed = ask({ host: behind.hostname, port: behind.port, method, path, headers }, (from) => {
      response.writeHead(from.statusCode ?? 502, from.headers);
      from.pipe(response);
    });
    passed.once("error", () => response.destroy());
    request.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const door: FaultDoor = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fault: () => undefined,
    refused: () => refused,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return door;
}
