/** What can be done to keys, by where they live. Another kind of key is another entry here; its adapter is a file of its own. */
import type { KeyCustodies } from "../../key-custody";
import { localKeyCustody } from "./local-key-custody";

export const keyCustodies: KeyCustodies = { local: localKeyCustody() };
