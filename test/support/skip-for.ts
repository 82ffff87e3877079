/** A test, or all of a block, is skipped where this machine lacks what it needs, and says why. */
export function skipFor(why: string | undefined, test: Mocha.Context): void {
  if (why === undefined) return;
  process.stdout.write(`      skipped: ${why}\n`);
  test.skip();
}
