import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describeTool } from "../../tools/catalog";
import { cachedTool, cacheKey, installIntoCache } from "../../tools/tool-cache";

describe("the cache of tools", () => {
  const tool = describeTool("etcd");
  const quiet = { onWait: () => undefined };
  const earlier = process.env["KMS_ETCD_CACHE"];
  let cache: string;

  beforeEach(() => {
    cache = mkdtempSync(join(tmpdir(), "kms-etcd-cache-"));
    process.env["KMS_ETCD_CACHE"] = cache;
  });
  afterEach(() => {
    rmSync(cache, { recursive: true });
    if (earlier === undefined) delete process.env["KMS_ETCD_CACHE"];
    else process.env["KMS_ETCD_CACHE"] = earlier;
  });

  it("several that install at once install once, and all find the whole program", async () => {
    let installs = 0;
    const install = async (bin: string) => {
      installs += 1;
      await delay(50);
      await writeFile(join(bin, "etcd"), "program");
      return "build" as const;
    };
    const found = await Promise.all(Array.from({ length: 4 }, () => installIntoCache(tool, install, quiet)));
    assert.equal(installs, 1);
    for (const { path } of found) assert.ok(existsSync(path));
    assert.equal((await cachedTool(tool))?.origin, "build");
  });

  it("an install that fails leaves nothing, and the next one starts clean", async () => {
    const failing = async (bin: string): Promise<never> => {
      await writeFile(join(bin, "etcd"), "half");
      throw new Error("no space left");
    };
    await assert.rejects(installIntoCache(tool, failing, quiet), /no space left/);
    assert.equal(await cachedTool(tool), undefined);
    assert.deepEqual(readdirSync(join(cache, "tools")), []);
  });

  it("what a killed install left is not used, and swept away by the next", async () => {
    const left = join(cache, "tools", `.${cacheKey(tool)}.abc`, "bin");
    mkdirSync(left, { recursive: true });
    await writeFile(join(left, "etcd"), "half");
    assert.equal(await cachedTool(tool), undefined);
    const install = async (bin: string) => {
      await writeFile(join(bin, "etcd"), "whole");
      return "download" as const;
    };
    await installIntoCache(tool, install, quiet);
    assert.deepEqual(readdirSync(join(cache, "tools")), [cacheKey(tool)]);
  });
});
