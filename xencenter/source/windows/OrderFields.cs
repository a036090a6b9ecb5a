using System;
using System.Collections.Generic;
using System.Linq;

namespace Skinnybox.Windows
{
    /// <summary>What has to be said for each function of the dom0 plugin, and what is a good guess.</summary>
    internal static class OrderFields
    {
        public static Fields Make(Arguments arguments, Inventory inventory, Space space)
        {
            string function = arguments.Verb;
            var fields = new Fields();
            if (function == "create_template")
            {
                AddTemplate(fields, inventory);
            }
            else
            {
                AddMachines(fields, inventory, Templates(arguments, inventory), function == "batch");
            }
            AddPlaces(fields, inventory, space, function == "create_template");
            if (function != "create_template")
            {
                fields.AddCheck("start", function == "batch" ? "Start them when all are made" : "Start it");
            }
            return fields;
        }

        /// <summary>Those that machines can be made of, and whatever was selected: why that one cannot be is told then.</summary>
        private static IEnumerable<Choice> Templates(Arguments arguments, Inventory inventory)
        {
            List<Choice> usual = inventory.ThinTemplates.Concat(inventory.UefiTemplates).ToList();
            IEnumerable<Choice> selected = inventory.OtherTemplates.Where(
                each => arguments.Targets.Any(target => target.Uuid == each.Uuid) && usual.All(other => other.Uuid != each.Uuid));
            return usual.Concat(selected);
        }

        private static void AddMachines(Fields fields, Inventory inventory, IEnumerable<Choice> templates, bool isBatch)
        {
            fields.AddChoice("template", "Template", templates, null);
            fields.AddChoice("master", "Master", inventory.Masters, null);
            if (inventory.Layers.Count > 0)
            {
                fields.AddLayers("Layers");
            }
            if (isBatch)
            {
                fields.AddText("prefix", "Prefix", "web-", 200, "lower-case letters, digits, hyphens");
                fields.AddTexts("Numbers", "first", "1", "to", "last", "4", "with at least", "padding", "2", "digits");
            }
            else
            {
                fields.AddText("name", "Name", "web-01", 200, "it becomes the hostname");
            }
            fields.AddText("overlay", "Overlay", "", 90, "each machine's own disk, such as 1G");
        }

        private static void AddTemplate(Fields fields, Inventory inventory)
        {
            fields.AddChoice("template", "Copy of", inventory.OtherTemplates.Concat(inventory.ThinTemplates), null);
            fields.AddText("name", "Name", "thin", 200, "");
            fields.AddText("overlay", "Overlay", "1G", 90, "of each machine that is made of it");
            fields.AddText("memory", "Memory", "512M", 90, "empty: as the copied one");
            fields.AddText("vcpus", "Processors", "", 90, "empty: as the copied one");
        }

        private static void AddPlaces(Fields fields, Inventory inventory, Space space, bool isTemplate)
        {
            IEnumerable<Choice> rooms = space.Rooms.Select(room => new Choice(room.Uuid, room.ToString()));
            fields.AddChoice("network", "Network", inventory.Networks, isTemplate ? "(none)" : "(only what the template has)");
            string usual = isTemplate ? "(that of the master)" : "(as the template says, else the master's)";
            fields.AddChoice("sr", "Storage", rooms, usual);
        }

        /// <summary>By what was selected in XenCenter, and by what was said on the command line.</summary>
        public static void Preset(Fields fields, Arguments arguments, Inventory inventory)
        {
            foreach (Target target in arguments.Targets.Where(each => each.Kind == "VM" && Arguments.IsObject(each)))
            {
                fields.Choose("template", choice => choice.Uuid == target.Uuid);
                string digest = inventory.MasterOf(target.Uuid);
                if (fields.Has("master") && digest != "")
                {
                    fields.Choose("master", choice => choice.Digest == digest);
                }
            }
            FollowTemplate(fields);
            FollowMaster(fields, arguments, inventory);
            foreach (KeyValuePair<string, string> said in arguments.Values.Where(each => fields.Has(each.Key))
                .OrderBy(each => each.Key == "layers"))
            {
                fields.Say(said.Key, said.Value);
            }
        }

        /// <summary>Only layers that go above the chosen master are offered; those of a selected machine are ticked.</summary>
        private static void FollowMaster(Fields fields, Arguments arguments, Inventory inventory)
        {
            if (fields.Layers == null)
            {
                return;
            }
            EventHandler follow = (sender, nothing) =>
            {
                Choice master = fields.Chosen("master");
                fields.Layers.Offer(inventory.Layers.Where(each => master != null && each.IsAbove(master.Digest)).ToList());
            };
            follow(fields, EventArgs.Empty);
            fields.Edited += follow;
            IEnumerable<Target> selected = arguments.Targets.Where(each => each.Kind == "VM" && Arguments.IsObject(each));
            IList<string> own = selected.Select(each => inventory.LayersOf(each.Uuid)).FirstOrDefault(each => each.Count > 0);
            fields.Layers.Say(own ?? new List<string>());
        }

        /// <summary>The overlay's size is the template's, for as long as nobody typed another.</summary>
        private static void FollowTemplate(Fields fields)
        {
            string shown = "";
            EventHandler follow = (sender, nothing) =>
            {
                Choice template = fields.Chosen("template");
                string size = template == null || template.Overlay <= 0 ? "1G" : Sizes.Typed(template.Overlay);
                if (fields["overlay"] == shown && size != shown)
                {
                    shown = size;
                    fields.Say("overlay", size);
                }
            };
            if (fields.Has("master"))
            {
                fields.Edited += follow;
                follow(fields, EventArgs.Empty);
            }
        }
    }
}
