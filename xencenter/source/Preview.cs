using System;
using System.Collections.Generic;
using System.Linq;

namespace Skinnybox
{
    /// <summary>What an order would make, before anything happens. A pure function of what was read.</summary>
    internal sealed class Preview
    {
        private const int ShownNames = 6;
        public const long Usual = 1L << 30;

        public readonly string Names;
        public readonly string SpaceLine;

        /// <summary>Its layers, from the lowest up; "" where it has none.</summary>
        public readonly string LayersLine;

        /// <summary>"" where nothing speaks against it.</summary>
        public readonly string Problem;

        /// <summary>Null where it is not known.</summary>
        public readonly Room Room;
        public readonly int Count;

        public Preview(Order order, Inventory inventory, Room room)
        {
            Room = room;
            Count = order.Names.Count;
            Names = ShowNames(order.Names);
            LayersLine = ShowLayers(order, inventory);
            SpaceLine = room == null ? "Where the overlays go is not known." : ShowSpace(room, Count);
            Problem = FindProblem(order, inventory, room, Count);
        }

        /// <summary>Bytes of one overlay: what was said, else what the template says, else 1 GiB.</summary>
        public static long OverlayOf(Order order, Inventory inventory)
        {
            Choice template = Chosen(inventory.ThinTemplates, order.Values["template"]);
            return order.Overlay ?? (template != null && template.Overlay > 0 ? template.Overlay : Usual);
        }

        /// <summary>The overlays' storage: what was said, else the template's, else the master's; or "".</summary>
        public static string StorageOf(Order order, Inventory inventory)
        {
            string said;
            if (order.Values.TryGetValue("sr", out said))
            {
                return said;
            }
            Choice template = Chosen(inventory.ThinTemplates, order.Values["template"]);
            if (template != null && template.Storage != "")
            {
                return template.Storage;
            }
            Choice master = Chosen(inventory.Masters, order.Values["master"]);
            return master == null ? "" : master.Storage;
        }

        private static string DigestOf(Order order, Inventory inventory)
        {
            Choice master = Chosen(inventory.Masters, order.Values["master"]);
            return master == null ? "" : master.Digest;
        }

        private static string ShowLayers(Order order, Inventory inventory)
        {
            string master = DigestOf(order, inventory);
            IEnumerable<string> names = order.Layers.Select(each => (object)inventory.FindLayer(each, master) ?? each)
                .Select(each => each.ToString());
            return order.Layers.Count == 0 ? "" : "Layers, the lowest first: " + string.Join(", ", names)
                + " (shared by all: they take no space)";
        }

        /// <summary>"" where all go above the master. Of one that is no disk's name here the plugin knows.</summary>
        private static string FindLayerProblem(Order order, Inventory inventory)
        {
            string master = DigestOf(order, inventory);
            var seen = new HashSet<Layer>();
            foreach (string wanted in order.Layers)
            {
                Layer found = inventory.FindLayer(wanted, master);
                if (found == null)
                {
                    return "There is no layer " + wanted + " in this pool.";
                }
                if (!seen.Add(found))
                {
                    return found + " is named twice.";
                }
                if (master != "" && !found.IsAbove(master))
                {
                    return found + " was made for another master, or Skinnybox has made no machine of both yet.";
                }
            }
            return "";
        }

        private static Choice Chosen(IEnumerable<Choice> choices, string wanted)
        {
            return choices.FirstOrDefault(each => each.Uuid == wanted) ?? choices.FirstOrDefault(
                each => each.Label == wanted || each.Label.StartsWith(wanted + " (on ", StringComparison.Ordinal));
        }

        private static string ShowNames(IList<string> names)
        {
            if (names.Count <= ShownNames)
            {
                return string.Join(", ", names);
            }
            return string.Join(", ", names.Take(ShownNames - 2)) + " ... " + names.Last() + " (" + names.Count + " machines)";
        }

        private static string ShowSpace(Room room, int count)
        {
            string guess = room.IsEstimate ? "about " : "";
            string first = guess + Sizes.Show(room.Each * count) + " of " + Sizes.Show(room.Free) + " free on " + room.Label;
            string each = count == 1 ? "" : " (" + Sizes.Show(room.Each) + " each)";
            string full = "; " + guess + Sizes.Show(room.EachFull * count) + " when every overlay is full";
            return first + each + (room.EachFull == room.Each ? "" : full);
        }

        private static string FindProblem(Order order, Inventory inventory, Room room, int count)
        {
            List<string> taken = order.Names.Where(inventory.Taken.Contains).ToList();
            if (taken.Count > 0)
            {
                return "There " + (taken.Count == 1 ? "is a machine " : "are machines ") + ShowNames(taken) + " already.";
            }
            if (room != null && room.Each * count > room.Free)
            {
                return "Only " + room.Free / Math.Max(1, room.Each) + " of " + count + " fit on " + room.Label + ".";
            }
            return FindLayerProblem(order, inventory);
        }

        /// <summary>The problem; else that they fit, but not with all their overlays full; or "".</summary>
        public string Warning
        {
            get
            {
                bool isOverPromised = Room != null && Room.EachFull * Count > Room.Free;
                return Problem != "" ? Problem : isOverPromised ? "Not all of them could fill their overlays." : "";
            }
        }
    }
}
