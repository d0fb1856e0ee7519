-- pixperts in darktable: a target in the export module. Each exported picture is enlarged or
-- repaired, imported again beside the original, and grouped with it.
--
-- Install: copy this file to lua/ in darktable's configuration folder (~/.config/darktable on
-- Linux) and add the line   require "pixperts"   to luarc there. Export as TIFF of 16 bits.

local dt = require "darktable"

local windows = dt.configuration.running_os == "windows"

dt.preferences.register("pixperts", "command", "string", "pixperts: command",
  "the installed command, with its path where darktable does not find it", "pixperts")

local work = dt.new_widget("combobox") {
  label = "work", value = 1, "upscale", "restore",
}

local scale = dt.new_widget("slider") {
  label = "scale", soft_min = 1, soft_max = 4, hard_min = 1, hard_max = 16, step = 0.1, digits = 2,
  value = 2,
}

-- One argument as the shell takes it, whatever is in a file's name.
local function quoted(text)
  if windows then
    return '"' .. text:gsub('"', '') .. '"'
  end
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The command line for one exported file.
local function command_line(program, task, factor, source, target)
  local words = { quoted(program), task, quoted(source), "-o", quoted(target), "--quiet" }
  if task == "upscale" then
    words[#words + 1] = "--scale"
    words[#words + 1] = string.format("%.2f", factor):gsub(",", ".")
  end
  local line = table.concat(words, " ")
  -- cmd.exe takes away the outer pair of quotes.
  return windows and '"' .. line .. '"' or line
end

-- A name beside the original that nothing has yet.
local function free_name(image, task, ending)
  local stem = image.filename:gsub("%.[^.]*$", "")
  local number = 0
  while true do
    local more = number == 0 and "" or "_" .. number
    local name = string.format("%s/%s_%s%s.%s", image.path, stem, task, more, ending)
    local file = io.open(name, "rb")
    if file == nil then
      return name
    end
    file:close()
    number = number + 1
  end
end

local function store(storage, image, format, filename, number, total)
  local task = work.value
  dt.print(string.format("pixperts: %s, %d of %d", image.filename, number, total))
  local target = free_name(image, task, filename:match("%.([^.]*)$") or "tif")
  local program = dt.preferences.read("pixperts", "command", "string")
  local done = dt.control.execute(command_line(program, task, scale.value, filename, target))
  os.remove(filename)
  if done ~= 0 then
    dt.print_error("pixperts failed on " .. image.filename)
    dt.print("pixperts failed on " .. image.filename .. ": start darktable from a terminal to see why")
    return
  end
  local imported = dt.database.import(target)
  if imported then
    imported:group_with(image.group_leader)
  end
end

dt.register_storage("pixperts", "pixperts", store, nil, nil, nil,
  dt.new_widget("box") { orientation = "vertical", work, scale })
