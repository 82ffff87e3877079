/** What every test on such machines begins with: the Python that moto runs in, or the test is skipped. */
import { skipFor } from "../../../support/skip-for";
import { findMotoPython } from "../../aws/moto-python";
import { whyNotContained } from "./contained-program";

export async function pythonOrSkip(test: Mocha.Context): Promise<string> {
  skipFor(whyNotContained(), test);
  const python = await findMotoPython();
  if (python === undefined) test.skip();
  return python;
}
