/** The dialog that publishes a site: files that are dropped or chosen, or a source in Git. */

import { request } from "../site/api.js";
import { byId, setText } from "../site/dom.js";
import { plural } from "../site/format.js";
import { encoded, fromChooser, fromDrop, size } from "./files.js";
import { gitSource, hostOf, HOSTS } from "./git.js";

/** @import { Chosen } from "./files.js" */
/** @import { Host } from "./git.js" */

/** How long the server may take, in ms: it hands large files on before it answers. */
const LIMIT = 120_000;

/** @type {HTMLDialogElement} */
const dialog = byId("publishing");
/** @type {HTMLFormElement} */
const form = byId("publish");
/** @type {HTMLInputElement} */
const name = byId("name");
/** @type {HTMLInputElement} */
const repository = byId("repository");
/** @type {HTMLSelectElement} */
const host = byId("host");
/** @type {HTMLButtonElement} */
const submit = byId("submit");
const drop = byId("drop");

/** @type {Chosen | null} */
let chosen = null;
/** @type {(deployment: { id: string, name: string }) => void} */
let onPublished = () => {};

/**
 * Let the dialog publish.
 *
 * @param {(deployment: { id: string, name: string }) => void} published hears of each
 */
export function offer(published) {
  onPublished = published;
  byId("open").addEventListener("click", open);
  byId("cancel").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void publish();
  });
  form.addEventListener("change", show);
  for (const id of ["files", "folder"]) {
    /** @type {HTMLInputElement} */
    const field = byId(id);
    field.addEventListener("change", () => {
      if (field.files?.length) take(fromChooser(field.files));
      field.value = ""; // the same again is a change again
    });
  }
  repository.addEventListener("input", () => {
    host.value = hostOf(repository.value) ?? host.value;
    show();
  });
  addEventListener("dragover", onDrag);
  addEventListener("dragleave", () => drop.classList.remove("over"));
  addEventListener("drop", onDrop);
  show();
}

function open() {
  setText(byId("refused"), "");
  if (!dialog.open) dialog.showModal();
}

/** @param {DragEvent} event */
function onDrag(event) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  // Files that miss the field must not make the browser leave the page.
  event.preventDefault();
  drop.classList.add("over");
}

/** @param {DragEvent} event */
async function onDrop(event) {
  drop.classList.remove("over");
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  /** @type {HTMLButtonElement} */
  const opener = byId("open");
  if (opener.disabled) return;
  const dropped = fromDrop(event.dataTransfer);
  open();
  try {
    take(await dropped);
  } catch {
    refuse("What was dropped cannot be read. Choose the files instead.");
  }
}

/** @param {Chosen} files */
function take(files) {
  chosen = files;
  const { value } = name;
  if (!value || value === name.dataset["made"]) {
    name.value = name.dataset["made"] = projectName(files.root);
  }
  setText(byId("refused"), "");
  /** @type {HTMLInputElement} */ (byId("by-files")).checked = true;
  show();
}

/** A project's name out of a folder's. @param {string} folder */
function projectName(folder) {
  const made = folder.toLowerCase().replace(/[^a-z0-9._]+/g, "-").replace(/^-+|-+$/g, "");
  return made.slice(0, 100) || "site";
}

function isGit() {
  return new FormData(form).get("source") === "git";
}

function show() {
  const git = isGit();
  byId("git-source").hidden = !git;
  byId("file-source").hidden = git;
  repository.required = git;
  const { label, hint } = HOSTS[/** @type {Host} */ (host.value)];
  setText(byId("repository-label"), label);
  repository.placeholder = hint;
  setText(byId("chosen"), chosen ? summary(chosen) : "");
  drop.classList.toggle("filled", chosen !== null);
}

/** @param {Chosen} it */
function summary({ files, root, leftOut }) {
  const from = root ? ` of ${root}` : "";
  const kilobytes = Math.ceil(size(files) / 1000).toLocaleString("en");
  const out = `; ${leftOut.toLocaleString("en")} left out, like .git and node_modules`;
  const without = leftOut ? out : "";
  return `${plural(files.length, "file")}${from}, ${kilobytes} kB${without}`;
}

async function publish() {
  submit.disabled = true;
  setText(submit, "Publishing…");
  setText(byId("refused"), "");
  try {
    const body = { name: name.value.trim(), ...(await source()), target: target() };
    onPublished(await request("POST", "/api/deploy/vercel", body, {}, LIMIT));
    dialog.close();
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error));
  }
  submit.disabled = false;
  setText(submit, "Publish");
}

async function source() {
  if (!isGit()) {
    if (!chosen?.files.length) throw new Error("Drop or choose the files of the site first.");
    return { files: await encoded(chosen.files) };
  }
  /** @type {HTMLInputElement} */
  const ref = byId("ref");
  const { value } = host;
  const branch = ref.value.trim() || "main";
  return { gitSource: gitSource(/** @type {Host} */ (value), repository.value, branch) };
}

function target() {
  return String(new FormData(form).get("target"));
}

/** @param {string} why */
function refuse(why) {
  setText(byId("refused"), why);
}
