// The dev inbox: reloads when mail comes, and copies codes. The page works without it.
"use strict";

for (const time of document.querySelectorAll("time")) {
  time.title = time.textContent;
  time.textContent = new Date(time.dateTime).toLocaleString();
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

const shown = document.body.dataset.inbox;
if (shown !== undefined) {
  const look = async () => {
    try {
      const answer = await fetch("/dev/mail", { headers: { Accept: "application/json" } });
      const list = await answer.json();
      if (`${list.length} ${list.length > 0 ? list[0].id : 0}` !== shown) {
        location.reload();
        return;
      }
    } catch {
      // The program is being restarted: look again.
    }
    setTimeout(look, 1500);
  };
  setTimeout(look, 1500);
}
