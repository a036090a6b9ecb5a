using System;
using System.Collections.Generic;
using System.Drawing;
using System.Linq;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>Rows of a label and what is typed or chosen; together the arguments of an order.</summary>
    internal sealed class Fields : TableLayoutPanel
    {
        private const int LabelWidth = 110;
        private const int FieldWidth = 360;
        private readonly Dictionary<string, Control> controls = new Dictionary<string, Control>();

        /// <summary>Some value is another one now.</summary>
        public event EventHandler Edited;

        public Fields()
        {
            ColumnCount = 2;
            AutoSize = true;
            AutoSizeMode = AutoSizeMode.GrowAndShrink;
            ColumnStyles.Add(new ColumnStyle(SizeType.Absolute, LabelWidth));
            ColumnStyles.Add(new ColumnStyle(SizeType.AutoSize));
        }

        public IDictionary<string, string> Values
        {
            get { return controls.ToDictionary(each => each.Key, each => ValueOf(each.Value)); }
        }

        public bool Has(string key)
        {
            return controls.ContainsKey(key);
        }

        public string this[string key]
        {
            get { return ValueOf(controls[key]); }
        }

        /// <summary>A choice by its UUID or label; a check by true; a text as it is.</summary>
        public void Say(string key, string value)
        {
            var check = controls[key] as CheckBox;
            if (controls[key] is LayerList)
            {
                Layers.Say(value.Split(',').Select(each => each.Trim()));
            }
            else if (controls[key] is ComboBox)
            {
                Choose(key, choice => choice.Uuid == value || choice.Label == value);
            }
            else if (check != null)
            {
                check.Checked = value == "true";
            }
            else
            {
                controls[key].Text = value;
            }
        }

        /// <summary>`none` is the first of the choices and means nothing said; without it the first choice is taken.</summary>
        public void AddChoice(string key, string label, IEnumerable<Choice> choices, string none)
        {
            var box = new ComboBox { DropDownStyle = ComboBoxStyle.DropDownList, Width = FieldWidth, DropDownWidth = FieldWidth };
            if (none != null)
            {
                box.Items.Add(new Choice("", none));
            }
            box.Items.AddRange(choices.Cast<object>().ToArray());
            if (box.Items.Count > 0)
            {
                box.SelectedIndex = 0;
            }
            box.SelectedIndexChanged += Tell;
            AddRow(label, box, key);
        }

        /// <summary>Null where the pool has none.</summary>
        public LayerList Layers
        {
            get { return Has("layers") ? (LayerList)controls["layers"] : null; }
        }

        public void AddLayers(string label)
        {
            var list = new LayerList(FieldWidth);
            list.Edited += Tell;
            AddRow(label, list, "layers");
        }

        public void Choose(string key, Predicate<Choice> wanted)
        {
            var box = (ComboBox)controls[key];
            object found = box.Items.Cast<Choice>().FirstOrDefault(each => wanted(each));
            if (found != null)
            {
                box.SelectedItem = found;
            }
        }

        /// <summary>Typing begins there, and replaces what it says.</summary>
        public void Start(string key)
        {
            controls[key].Select();
            ((TextBox)controls[key]).SelectAll();
        }

        public Choice Chosen(string key)
        {
            return ((ComboBox)controls[key]).SelectedItem as Choice;
        }

        public void AddText(string key, string label, string value, int width, string note)
        {
            AddRow(label, Noted(TextBoxOf(key, value, width), note), null);
        }

        /// <summary>Several in one row, with words between them.</summary>
        public void AddTexts(string label, params string[] keysValuesAndWords)
        {
            FlowLayoutPanel row = RowPanel();
            for (int at = 0; at + 2 < keysValuesAndWords.Length; at += 3)
            {
                row.Controls.Add(TextBoxOf(keysValuesAndWords[at], keysValuesAndWords[at + 1], 60));
                row.Controls.Add(Word(keysValuesAndWords[at + 2]));
            }
            AddRow(label, row, null);
        }

        public void AddCheck(string key, string label)
        {
            var box = new CheckBox { Text = label, AutoSize = true };
            box.CheckedChanged += Tell;
            AddRow("", box, key);
        }

        private TextBox TextBoxOf(string key, string value, int width)
        {
            var box = new TextBox { Text = value, Width = width, MaxLength = 200, Name = key };
            box.TextChanged += Tell;
            controls[key] = box;
            return box;
        }

        private static Control Noted(Control box, string note)
        {
            FlowLayoutPanel row = RowPanel();
            row.Controls.Add(box);
            row.Controls.Add(Word(note));
            return row;
        }

        private static FlowLayoutPanel RowPanel()
        {
            return new FlowLayoutPanel { AutoSize = true, WrapContents = false, Margin = new Padding(0) };
        }

        private static Label Word(string text)
        {
            return new Label { Text = text, AutoSize = true, Margin = new Padding(0, 7, 6, 0), ForeColor = Look.Quiet };
        }

        private void AddRow(string label, Control control, string key)
        {
            if (key != null)
            {
                controls[key] = control;
                control.Name = key;
            }
            Controls.Add(new Label { Text = label, AutoSize = true, Margin = new Padding(3, 7, 3, 3) }, 0, RowCount);
            Controls.Add(control, 1, RowCount);
            RowCount++;
        }

        private void Tell(object sender, EventArgs nothing)
        {
            if (Edited != null)
            {
                Edited(this, EventArgs.Empty);
            }
        }

        private static string ValueOf(Control control)
        {
            var box = control as ComboBox;
            if (box != null)
            {
                return box.SelectedItem == null ? "" : ((Choice)box.SelectedItem).Uuid;
            }
            var layers = control as LayerList;
            if (layers != null)
            {
                return layers.Value;
            }
            var check = control as CheckBox;
            return check != null ? (check.Checked ? "true" : "") : control.Text.Trim();
        }
    }
}
