/**
 * What pipelines comment on: the comments of one pull request at GitHub, GitLab and Azure Repos, behind one door on this machine.
 * Each answers its own paths and takes its own form of a comment, with the token of its kind, and nothing else.
 */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readAll } from "node:stream/consumers";

export interface ReviewServices {
  readonly url: string;
  /** The comments as they stand, the oldest first. */
  readonly comments: string[];
  /** From now on every new comment is refused, as without the right to write. */
  refuse(): void;
  close(): Promise<void>;
}

export const reviewToken = "the-token-for-comments";

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

/** @param run the command `kms-etcd` with these arguments: what the pipelines' `npx kms-etcd` reaches. */
export async function startReviewServices(
  run: (args: readonly string[]) => Promise<{ code: number; stdout: string }>,
): Promise<ReviewServices> {
  const comments = ["A person's comment: have you seen <!-- kms-etcd preview --> in the documents?"];
  let refuses = false;

  function written(index: number, content: unknown): Answer {
    if (refuses) return { status: 403, body: { message: "Resource not accessible" } };
    assert.ok(typeof content === "string" && index <= comments.length);
    comments[index] = content;
    return { status: 201, body: {} };
  }

  const listed = (form: (content: string, id: number) => unknown) =>
    comments.map((content, at) => form(content, at + 1));

  function github(method: string, path: string, body: string): Answer | undefined {
    const one = /^\/repos\/owner\/repo\/issues\/comments\/(\d+)$/.exec(path)?.[1];
    const content = () => (JSON.parse(body) as { body: unknown }).body;
    if (method === "PATCH" && one !== undefined) return written(Number(one) - 1, content());
    if (path !== "/repos/owner/repo/issues/7/comments") return undefined;
    if (method === "POST") return written(comments.length, content());
    return method === "GET" ? { status: 200, body: listed((text, id) => ({ id, body: text })) } : undefined;
  }

  function gitlab(method: string, path: string, body: string): Answer | undefined {
    const [, one] = /^\/api\/v4\/projects\/5\/merge_requests\/7\/notes(?:\/(\d+))?$/.exec(path) ?? [];
    const content = () => new URLSearchParams(body).get("body");
    if (method === "PUT" && one !== undefined) return written(Number(one) - 1, content());
    if (!path.endsWith("/merge_requests/7/notes")) return undefined;
    if (method === "POST") return written(comments.length, content());
    return method === "GET" ? { status: 200, body: listed((text, id) => ({ id, body: text })) } : undefined;
  }

  function azure(method: string, path: string, body: string): Answer | undefined {
    const [, one] =
      /^\/organisation\/project\/_apis\/git\/repositories\/repo\/pullRequests\/7\/threads(?:\/(\d+)\/comments\/1)?$/.exec(
        path,
      ) ?? [];
    if (method === "PATCH" && one !== undefined)
      return written(Number(one) - 1, (JSON.parse(body) as { content: unknown }).content);
    if (!path.endsWith("/pullRequests/7/threads")) return undefined;
    if (method === "GET") {
      const value = listed((content, id) => ({ id, comments: [{ id: 1, content }] }));
      return { status: 200, body: { value: [{ id: 900, comments: [{ id: 1, isDeleted: true }] }, ...value] } };
    }
    const { comments: posted, status } = JSON.parse(body) as { comments: { content: unknown }[]; status: unknown };
    assert.equal(status, 1);
    return written(comments.length, posted[0]?.content);
  }

  async function answer(request: IncomingMessage): Promise<Answer> {
    const { method = "", url = "" } = request;
    const { pathname, searchParams } = new URL(url, "http://127.0.0.1");
    const body = await readAll(request);
    const { authorization, "private-token": privateToken } = request.headers;
    const isAzure = authorization === `Bearer ${reviewToken}` && searchParams.get("api-version") === "7.1";
    let answered: Answer | undefined;
    if (pathname.startsWith("/repos/") && authorization === `token ${reviewToken}`)
      answered = github(method, pathname, body);
    else if (pathname.startsWith("/api/v4/") && privateToken === reviewToken) answered = gitlab(method, pathname, body);
    else if (isAzure) answered = azure(method, pathname, body);
    return answered ?? { status: 404 };
  }

  const server = createServer((request, response) => {
    void (async () => {
      if (request.url === "/kms-etcd") {
        // The command's end as a status that may have a body.
        const { code, stdout } = await run((await readAll(request)).split("\n").filter((line) => line !== ""));
        response.writeHead(210 + code).end(stdout);
        return;
      }
      const { status, body } = await answer(request);
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body ?? {}));
    })().catch((thrown: unknown) => response.writeHead(400).end(String(thrown)));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    comments,
    refuse: () => {
      refuses = true;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
