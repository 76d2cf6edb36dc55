-- Health of Nuncio's objects for Argo CD, the same for all kinds. README.md tells how to install
-- it.
--
-- Healthy      it is served
-- Degraded     it is not, and only a change of the object itself can help
-- Progressing  not yet: nobody has looked, or what it needs isn't there; the message says which
local function health(status, message)
  return { status = status, message = message }
end

local status = obj.status
if status == nil then
  return health("Progressing", "No gateway has looked at this object yet")
end

local observed = status.observedGeneration
if observed ~= nil and observed ~= obj.metadata.generation then
  return health("Progressing", "No gateway has looked at the last change yet")
end

local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

if found.Stalled ~= nil and found.Stalled.status == "True" then
  return health("Degraded", found.Stalled.message)
end
if found.Ready ~= nil then
  if found.Ready.status ~= "True" then
    return health("Progressing", found.Ready.message)
  end
  -- Served, but perhaps not wholly as it was written.
  local accepted = found.Accepted
  if accepted ~= nil and accepted.reason ~= "Accepted" then
    return health("Healthy", accepted.message)
  end
  return health("Healthy", found.Ready.message)
end

-- Emissary's definition of Mapping knows no conditions.
if status.state == "Running" then
  return health("Healthy", "Running")
end
if status.state == "Inactive" then
  return health("Degraded", status.reason)
end
return health("Progressing", "No gateway has looked at this object yet")
