// The sheet for the specialist into the clipboard, or at least selected.
const sheet = document.querySelector("#sheet");
const button = document.querySelector("#copy");

button.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(sheet.textContent);
    button.textContent = "Скопировано";
  } catch {
    getSelection().selectAllChildren(sheet);
    button.textContent = "Выделено, нажмите Ctrl+C";
  }
});
