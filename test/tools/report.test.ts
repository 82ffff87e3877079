import assert from "node:assert/strict";
import { reportTo } from "../../tools/report";

describe("progress lines", () => {
  it("off a terminal each is a line, and passing ones come every five seconds at most", () => {
    let written = "";
    let now = 0;
    const report = reportTo({ write: (text) => void (written += text) }, () => now);
    report("starting");
    for (; now <= 11_000; now += 1_000) report(`${now / 1_000} s`, true);
    report("done");
    assert.equal(written, "starting\n0 s\n5 s\n10 s\ndone\n");
  });

  it("on a terminal passing lines are written over, cut to its width", () => {
    let written = "";
    const report = reportTo({ isTTY: true, columns: 11, write: (text) => void (written += text) });
    report("0123456789abcdef", true);
    report("b", true);
    report("done");
    report("next");
    assert.equal(written, "0123456789\r\u001b[Kb\r\u001b[Kdone\nnext\n");
  });
});
