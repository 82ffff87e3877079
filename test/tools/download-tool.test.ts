import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "tar";
import { describeTool } from "../../tools/catalog";
import { downloadTool } from "../../tools/download-tool";
import type { Tool, ToolDownload } from "../../tools/tool";

describe("downloading a tool", () => {
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-download-"));
  const files = new Map<string, Buffer>();
  let server: Server;
  let base: string;
  let lines: string[];
  let bin: string;

  before((done) => {
    server = createServer((request, response) => {
      const body = files.get(request.url ?? "");
      if (body === undefined) response.writeHead(404).end();
      else response.writeHead(200, { "content-length": body.length }).end(body);
    }).listen(0, "127.0.0.1", () => {
      base = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
      done();
    });
  });
  after((done) => {
    rmSync(directory, { recursive: true });
    server.close(done);
  });
  beforeEach(() => {
    files.clear();
    lines = [];
    bin = mkdtempSync(join(directory, "bin-"));
  });

  const sum = (body: Buffer): string => createHash("sha256").update(body).digest("hex");
  const download = (how: ToolDownload): Promise<boolean> => {
    const tool: Tool = { ...describeTool("etcd"), download: how };
    return downloadTool(tool, bin, { report: (line) => lines.push(line) });
  };
  const program = (): ToolDownload => ({ kind: "program", url: `${base}/etcd`, checksumUrl: `${base}/etcd.sha256` });

  it("a program that has the published checksum is there, executable, and alone", async () => {
    const body = Buffer.from("program");
    files.set("/etcd", body).set("/etcd.sha256", Buffer.from(sum(body)));
    assert.equal(await download(program()), true);
    assert.deepEqual(readdirSync(bin), ["etcd"]);
    assert.equal(readFileSync(join(bin, "etcd"), "utf8"), "program");
    assert.equal(statSync(join(bin, "etcd")).mode & 0o777, 0o755);
  });

  it("of an archive the wanted files are taken", async () => {
    const source = mkdtempSync(join(directory, "source-"));
    mkdirSync(join(source, "etcd-v3"));
    for (const name of ["etcd", "etcdctl", "README"]) writeFileSync(join(source, "etcd-v3", name), name);
    await create({ gzip: true, cwd: source, file: join(source, "e.tar.gz") }, ["etcd-v3"]);
    const body = readFileSync(join(source, "e.tar.gz"));
    files.set("/e.tar.gz", body).set("/SHA256SUMS", Buffer.from(`${sum(body)}  e.tar.gz\n`));
    const archive = {
      kind: "archive" as const,
      url: `${base}/e.tar.gz`,
      checksumUrl: `${base}/SHA256SUMS`,
      folder: "etcd-v3",
    };
    assert.equal(await download({ ...archive, files: ["etcd"] }), true);
    assert.deepEqual(readdirSync(bin), ["etcd"]);
    bin = mkdtempSync(join(directory, "bin-"));
    assert.equal(await download({ ...archive, files: [] }), true);
    assert.deepEqual(readdirSync(bin).sort(), ["README", "etcd", "etcdctl"]);
  });

  it("a program with another checksum is not used, and the line says which it has", async () => {
    files.set("/etcd", Buffer.from("tampered")).set("/etcd.sha256", Buffer.from(sum(Buffer.from("program"))));
    assert.equal(await download(program()), false);
    assert.deepEqual(readdirSync(bin), []);
    assert.match(lines.at(-1) ?? "", new RegExp(`has SHA-256 ${sum(Buffer.from("tampered"))}, published is`));
  });

  it("what is not published, and a server that does not answer, lead to the build with a reason", async () => {
    assert.equal(await download(program()), false);
    assert.match(lines.at(-1) ?? "", /etcd\.sha256 answers 404\), so it is built/);
    assert.equal(
      await download({ kind: "program", url: "http://127.0.0.1:1/etcd", checksumUrl: "http://127.0.0.1:1/sum" }),
      false,
    );
    assert.match(lines.at(-1) ?? "", /ECONNREFUSED|bad port/);
    assert.equal(
      await download({ kind: "program", url: "http://etcd.invalid/etcd", checksumUrl: "http://etcd.invalid/s" }),
      false,
    );
    assert.match(lines.at(-1) ?? "", /ENOTFOUND|EAI_AGAIN/);
  });

  it("an interrupted download is an interruption, not a reason to build", async () => {
    const tool: Tool = { ...describeTool("etcd"), download: program() };
    const signal = AbortSignal.abort(new Error("interrupted by SIGINT"));
    await assert.rejects(downloadTool(tool, bin, { report: () => undefined, signal }), /interrupted by SIGINT/);
  });
});
