import assert from "node:assert/strict";
import { test } from "node:test";

import { clean } from "../../../public/messages/clean.js";
import { pieces } from "../../../public/messages/links.js";

const links = (text) =>
  pieces(text)
    .filter(({ href }) => href !== null)
    .map(({ text }) => text);

test("a text without addresses is one piece", () => {
  assert.deepEqual(pieces("just words"), [{ text: "just words", href: null }]);
  assert.deepEqual(pieces(""), []);
});

test("the pieces are the text, whatever it is", () => {
  for (const text of [
    "see https://a.example/x, and http://b.example.",
    "https://a.example https://b.example\nhttps://c.example",
    "(https://en.example/Foo_(bar)) and [https://x.example/]",
    "<script>alert('https://a.example')</script>",
    "https://",
  ]) {
    assert.equal(
      pieces(text)
        .map(({ text }) => text)
        .join(""),
      text,
    );
  }
});

test("what belongs to the sentence is not part of the address", () => {
  assert.deepEqual(links("see https://a.example/x, or http://b.example/?q=1!"), [
    ...["https://a.example/x", "http://b.example/?q=1"],
  ]);
  assert.deepEqual(links("(https://en.example/Foo_(bar))."), ["https://en.example/Foo_(bar)"]);
  assert.deepEqual(links('<a href="https://a.example/">'), ["https://a.example/"]);
});

test("only http and https are addresses", () => {
  for (const text of [
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "ftp://a.example",
    "//a.example",
    "https://",
    "http://[",
  ]) {
    assert.deepEqual(links(text), [], text);
  }
});

test("an address that is not as it looks is none", () => {
  assert.deepEqual(links("https://bank.example@evil.example/"), []);
  assert.deepEqual(links("https://bank.example:secret@evil.example/"), []);
  // A mark that turns the direction of writing ends it.
  assert.deepEqual(links("https://a.example/\u202egnp.exe"), ["https://a.example/"]);
});

test("what is written is sent as it is, but for what shows nothing", () => {
  assert.equal(clean("  a\tb\n\nc  "), "a\tb\n\nc");
  assert.equal(clean("a\u0000b\u001bc\u0085d\ud800e"), "abcde");
  assert.equal(clean("\u{1f600}"), "\u{1f600}");
  assert.equal(clean(" \n "), "");
});
