// A TUF client that is neither ours nor python-tuf: refreshes, finds a target, fetches and verifies it.
// node tuf_js_client.mjs METADATA_DIR METADATA_URL TARGET_URL TARGET TARGET_FILE
import { Updater } from "tuf-js";

const [metadataDir, metadataBaseUrl, targetBaseUrl, target, file] = process.argv.slice(2);
const updater = new Updater({ metadataDir, metadataBaseUrl, targetBaseUrl });
try {
  await updater.refresh();
  const info = await updater.getTargetInfo(target);
  if (info === undefined) {
    throw new Error(`the index names no ${target}`);
  }
  await updater.downloadTarget(info, file);
} catch (error) {
  console.error(`${error.name}: ${error.message}`);
  process.exit(1);
}
