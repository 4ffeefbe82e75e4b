// The form: one native element with a label for each setting, in groups.

function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function inputFor(setting) {
  const id = `playground-${setting.name}`, shared = { id, name: setting.name, autocomplete: "off" };
  if (setting.kind === "choice") {
    const options = setting.options.map(([value, label]) => node("option", { value }, label));
    return node("select", shared, ...options);
  }
  if (setting.kind === "heights") return node("input", { ...shared, type: "text", spellcheck: "false" });
  const { least: min, most: max, whole: isWhole } = setting;
  return node("input", { ...shared, type: "number", min, max, step: isWhole ? 1 : "any" });
}

// Shows `values`, and calls `changed(values)` when the reader has set another one, `refused(note)` when it is
// not allowed.
class Form {
  constructor(parent, changed, refused) {
    Object.assign(this, { changed, refused, inputs: {}, values: defaults() });
    let group = null;
    for (const setting of SETTINGS) {
      if (setting.group) {
        group = node("fieldset", {}, node("legend", {}, setting.group));
        parent.append(group);
      }
      const input = inputFor(setting), label = node("label", { for: input.id }, setting.label);
      group.append(node("div", setting.wide ? { class: "playground-wide" } : {}, label, input));
      input.addEventListener("change", () => this.take(setting, input));
      this.inputs[setting.name] = input;
    }
  }

  show(values) {
    this.values = values;
    for (const setting of SETTINGS) {
      const input = this.inputs[setting.name];
      input.value = textOf(setting, values[setting.name]);
      input.parentNode.hidden = !applies(setting, values);
    }
  }

  take(setting, input) {
    const value = readValue(setting, input.value), notes = [];
    if (value === undefined) {
      const kept = textOf(setting, this.values[setting.name]);
      this.refused(`${setting.label} must be ${allowed(setting)}, not “${input.value}”; it stays ${kept}`);
      input.value = kept;
      return;
    }
    const values = { ...this.values, [setting.name]: value };
    if (setting.name === "target") values.range = USUAL_RANGE[value];
    this.show(withinReach(values, notes));
    this.changed(this.values, setting.name, notes);
  }

  // Sets one value from elsewhere, as if the reader had.
  set(name, value) {
    this.inputs[name].value = textOf(settingCalled.get(name), value);
    this.take(settingCalled.get(name), this.inputs[name]);
  }
}
