/** The files of a site, from what its owner drops or chooses, as the server takes them. */

/** A file and its path within the site. @typedef {{ path: string, file: File }} SiteFile */

/**
 * What is to be published. `root` is the folder that all of it lay in, if there was one; `leftOut`
 * is how many files there were besides.
 *
 * @typedef {{ files: SiteFile[], root: string, leftOut: number }} Chosen
 */

/** The server takes no more. */
export const MOST_FILES = 2000;
/** Beyond this no server's limit is, and a page that reads it all would stand still. */
const MOST_BYTES = 100 * 1024 * 1024;
/** What Vercel's own command leaves out, as far as folders of sites have it. */
const FOLDERS = /(^|\/)(\.(git|hg|svn|vercel|next|cache|venv)|venv|node_modules|__pycache__)\//;
const FILES = /(^|\/)(\.DS_Store|\.gitignore|\.env(\.[^/]*)?\.local)$/;

/** @param {Iterable<File>} files of a file chooser */
export function fromChooser(files) {
  return chosen([...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
}

/** @param {DataTransfer} transfer what was dropped; read at once, since it does not last */
export async function fromDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  /** @type {SiteFile[]} */
  const found = [];
  for (const entry of entries) if (entry) await walk(entry, found);
  return chosen(found);
}

/**
 * @param {FileSystemEntry} entry
 * @param {SiteFile[]} found
 */
async function walk(entry, found) {
  const path = entry.fullPath.replace(/^\//, "");
  if (found.length > MOST_FILES) return;
  if (entry.isDirectory) {
    // A folder that is left out need not be read: it may have more files than all the rest.
    if (FOLDERS.test(`${path}/`)) {
      found.push({ path: `${path}/`, file: new File([], "") });
      return;
    }
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    for (;;) {
      /** @type {FileSystemEntry[]} */
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (some.length === 0) return;
      for (const one of some) await walk(one, found);
    }
  }
  const file = await new Promise((done, failed) =>
    /** @type {FileSystemFileEntry} */ (entry).file(done, failed),
  );
  found.push({ path, file });
}

/**
 * @param {SiteFile[]} all
 * @returns {Chosen}
 */
function chosen(all) {
  const wanted = all.filter(({ path }) => !FOLDERS.test(path) && !FILES.test(path));
  const [first = ""] = wanted.map(({ path }) => path.slice(0, path.indexOf("/") + 1));
  const isWithin = first !== "" && wanted.every(({ path }) => path.startsWith(first));
  const before = isWithin ? first.length : 0;
  const files = wanted.map(({ path, file }) => ({ path: path.slice(before), file }));
  return { files, root: isWithin ? first.slice(0, -1) : "", leftOut: all.length - wanted.length };
}

/**
 * The files as members of the request: text as it is, which is the shortest, all else in base64.
 *
 * @param {SiteFile[]} files
 * @returns {Promise<{ file: string, data: string, encoding?: "base64" }[]>}
 */
export async function encoded(files) {
  if (files.length > MOST_FILES) throw new Error(`A site has at most ${MOST_FILES} files.`);
  if (size(files) > MOST_BYTES) throw new Error("These files are too large for a page.");
  const made = [];
  for (const { path, file } of files) made.push({ file: path, ...(await content(file, path)) });
  return made;
}

/** In bytes. @param {SiteFile[]} files */
export function size(files) {
  return files.reduce((sum, { file }) => sum + file.size, 0);
}

/**
 * @param {File} file
 * @param {string} path
 * @returns {Promise<{ data: string, encoding?: "base64" }>}
 */
async function content(file, path) {
  let bytes;
  try {
    bytes = await file.arrayBuffer();
  } catch {
    throw new Error(`${path} can no longer be read. Choose the files again.`);
  }
  try {
    return { data: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { data: base64(new Uint8Array(bytes)), encoding: "base64" };
  }
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  let binary = "";
  // As many arguments as any browser's function takes.
  for (let at = 0; at < bytes.length; at += 8192) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(binary);
}
