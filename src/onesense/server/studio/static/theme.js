// The theme that was chosen, else what the system says: before the first paint, and when the system changes.
{
  const isDark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    document.documentElement.dataset.theme = localStorage.getItem("onesense.theme") ?? (isDark.matches ? "dark" : "light");
    document.dispatchEvent(new CustomEvent("onesense:theme"));
  };
  isDark.addEventListener("change", apply);
  apply();
}
