/** Has the commands name the server that this page came from. */

for (const element of document.querySelectorAll(".origin")) {
  element.textContent = location.origin;
}
